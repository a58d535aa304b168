//! EndpointSlices of versions that are not read: they exist, and are no endpoints that are gone.

use super::*;
use crate::model::SliceOwner;

#[test]
fn a_slice_of_another_version_is_there_and_cannot_be_read() {
    for version in
        ["discovery.k8s.io/v2", "discovery.k8s.io/v1alpha1", "discovery.k8s.io/", "v1", "discovery.k8s.io"]
    {
        let text = format!(
            "apiVersion: {version}\nkind: EndpointSlice\nmetadata: {{name: s-1, namespace: shop, \
             labels: {{kubernetes.io/service-name: s}}}}\n---\n{NODE}"
        );
        let found = read_all(&text);
        assert_eq!((objects(&found), found.extent), (vec!["2 Node n1".to_owned()], Extent::Whole));
        assert_eq!(
            problems(&found),
            ["1: EndpointSlice shop/s-1: apiVersion: is neither discovery.k8s.io/v1 nor v1beta1"]
        );
        let owner = SliceOwner::Service("s".into());
        assert_eq!(found.unread, [Unread::Slice { name: ObjectName::new("shop", "s-1"), owner }]);
        assert_eq!(found.notes, [""; 0]);
    }
}

#[test]
fn slices_in_a_list_of_another_version_are_there_and_cannot_be_read() {
    let list =
        |item: &str| format!("apiVersion: discovery.k8s.io/v2\nkind: EndpointSliceList\nitems: [{item}]\n");
    let typed =
        read_all(&list("{apiVersion: discovery.k8s.io/v2, kind: EndpointSlice, metadata: {name: s-1}}"));
    assert_eq!((typed.unread.len(), typed.extent, typed.notes.len()), (1, Extent::Whole, 0));
    let untyped = read_all(&list("{metadata: {name: s-1}}"));
    assert_eq!(
        (untyped.extent, problems(&untyped).len()),
        (Extent::Part, 1),
        "which objects it has is not known"
    );
}

#[test]
fn a_file_that_was_cut_off_within_its_kind_is_known_in_part() {
    for (version, kind) in [("v1", "Serv"), ("v1", "Nod"), ("discovery.k8s.io/v1", "EndpointSl")] {
        let found = read_all(&format!("apiVersion: {version}\nkind: {kind}"));
        assert_eq!(problems(&found), ["1: *: kind: is only the begin of one that is read"], "{kind}");
        assert_eq!(found.extent, Extent::Part, "{kind}");
    }
}
