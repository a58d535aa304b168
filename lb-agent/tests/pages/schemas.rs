//! What commands print as JSON and YAML. A field that goes, or gets another type, is seen in the page's change.

use lb_agent::check::Finding;
use lb_agent::cli::print::status::Status;
use lb_agent::view::decisions::Decisions;
use lb_agent::view::explain::Explanation;
use lb_agent::view::loops::LoopView;
use lb_agent::view::loops_merged::LoopOfNodes;
use lb_agent::view::nodes::OfNodes;
use lb_agent::view::services::Services;
use lb_agent::view::sockets::SocketsView;
use lb_agent::view::trace::DecisionView;
use schemars::{JsonSchema, schema_for};

use super::page::compare;

fn schema<T: JsonSchema>(command: &str) {
    let schema = serde_json::to_string_pretty(&schema_for!(T)).unwrap();
    compare(&format!("schemas/{command}.json"), &(schema + "\n"));
}

#[test]
fn every_command_that_prints_json_has_one_schema() {
    schema::<Status>("status");
    schema::<Explanation>("explain");
    schema::<Services>("services");
    schema::<LoopView>("loop");
    schema::<SocketsView>("sockets");
    schema::<DecisionView>("trace");
    schema::<Decisions>("plan");
    schema::<Vec<Finding>>("check");
}

#[test]
fn what_is_asked_of_several_nodes_has_a_schema_of_its_own() {
    schema::<OfNodes<Status>>("status-of-nodes");
    schema::<OfNodes<Explanation>>("explain-of-nodes");
    schema::<OfNodes<Services>>("services-of-nodes");
    schema::<OfNodes<SocketsView>>("sockets-of-nodes");
    schema::<LoopOfNodes<LoopView>>("loop-of-nodes");
}
