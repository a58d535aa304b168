//! How large what is read may be.

use super::*;

#[test]
fn what_is_small_and_means_much_is_refused_and_the_limit_named() {
    let bomb = (1..12).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        text + &format!("a{level}: &a{level} [{aliases}]\n")
    });
    let dense = format!("{NODE}a: [{}]\n", "{a: 1}, ".repeat(200_000));
    for large in [dense, format!("{{\"a\": [{}]}}", vec!["{\"a\": 1}"; 200_000].join(", "))] {
        assert!(
            problem(&large).ends_with("its tree takes more than 64 MiB of memory"),
            "{}",
            problem(&large)
        );
    }
    let found = read_all(&format!("{NODE}---\n{bomb}"));
    let [problem] = &problems(&found)[..] else { panic!("{found:?}") };
    assert!(
        problem.ends_with("its aliases expand it past the limit, which is four times its size and 1 MiB"),
        "{problem}"
    );
    assert_eq!(objects(&found), ["1 Node n1"]);
}

#[test]
fn a_large_file_is_read() {
    let item = "- {apiVersion: v1, kind: Node, metadata: {name: n, labels: {a: b, c: d}}}\n"
        .replace(": n,", ": node,");
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{}", item.repeat(30_000));
    assert_eq!(read_all(&text).objects.len(), 30_000);
    assert_eq!(read_all(&format!("{NODE}---\n").repeat(2_000)).objects.len(), 2_000);
}
