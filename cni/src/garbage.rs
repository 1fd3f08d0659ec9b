//! What a runtime says in a GC: the attachments of a network that are alive.

use std::collections::BTreeSet;

use rpc::v1::Attachment;

use crate::error::{Code, Error};
use crate::json::{FieldError, Object};
use crate::net_conf::Document;

/// Where the specification has the list.
const KEY: &str = "cni.dev/valid-attachments";

/// Where libcni had it first, and has it still.
const FORMER_KEY: &str = "cni.dev/attachments";

/// The attachments that `document` lists as alive: those under either key, as doubt never releases.
///
/// `null` is an empty list: so libcni writes one that nobody put anything into. Without any list nothing is known to be
/// dead, and with an attachment that names nobody it isn't known which.
pub fn live(document: &Document) -> Result<Vec<Attachment>, Error> {
    let lists = [KEY, FORMER_KEY].map(|key| document.object().has(key).then_some(key));
    if lists == [None, None] {
        return Err(refused(format!(
            "the network configuration has no {KEY}: GC needs the list of attachments that are alive, an empty one if \
             there are none; nothing was released"
        )));
    }
    // libcni writes the same list twice.
    let mut live = BTreeSet::new();
    for key in lists.into_iter().flatten() {
        let listed: Vec<Object> = document
            .object()
            .get_or_default(key)
            .map_err(|error| refused(format!("{error}; nothing was released")))?;
        for attachment in &listed {
            live.insert(
                read(attachment)
                    .map_err(|error| refused(format!("{}; nothing was released", error.inside(key))))?,
            );
        }
    }
    let attachment = |(cni_containerid, cni_ifname)| Attachment {
        cni_containerid,
        cni_ifname,
    };
    Ok(live.into_iter().map(attachment).collect())
}

fn read(object: &Object) -> Result<(String, String), FieldError> {
    let text = |name: &str| match object.get_or_default::<String>(name)? {
        text if text.is_empty() => Err(FieldError {
            field: name.to_owned(),
            reason: "missing or empty".to_owned(),
        }),
        text => Ok(text),
    };
    Ok((text("containerID")?, text("ifname")?))
}

fn refused(msg: String) -> Error {
    Error::new(Code::InvalidNetworkConfig, msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(members: &str) -> Result<Vec<(String, String)>, Error> {
        let json = format!(r#"{{"name":"n","cniVersion":"1.1.0"{members}}}"#);
        let live = live(&Document::parse(json.as_bytes()).unwrap())?;
        Ok(live
            .into_iter()
            .map(|attachment| (attachment.cni_containerid, attachment.cni_ifname))
            .collect())
    }

    fn pair(container: &str, interface: &str) -> (String, String) {
        (container.to_owned(), interface.to_owned())
    }

    #[test]
    fn what_either_key_lists_is_alive() {
        let list = r#"[{"containerID":"a","ifname":"eth0"},{"containerID":"a","ifname":"net1","future":1}]"#;
        let both = [pair("a", "eth0"), pair("a", "net1")];
        assert_eq!(
            read(&format!(r#","cni.dev/valid-attachments":{list}"#)).unwrap(),
            both
        );
        assert_eq!(read(&format!(r#","cni.dev/attachments":{list}"#)).unwrap(), both);
        let differing = r#","cni.dev/attachments":[{"containerID":"b","ifname":"eth0"}],
            "cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"}]"#;
        assert_eq!(read(differing).unwrap(), [pair("a", "eth0"), pair("b", "eth0")]);
    }

    #[test]
    fn an_empty_list_is_a_list_and_so_is_null() {
        for empty in [
            r#","cni.dev/valid-attachments":[]"#,
            r#","cni.dev/attachments":[]"#,
            r#","cni.dev/valid-attachments":null,"cni.dev/attachments":null"#,
        ] {
            assert_eq!(read(empty).unwrap(), [], "{empty}");
        }
    }

    #[test]
    fn without_a_list_nothing_is_dead() {
        let error = read("").unwrap_err();
        assert_eq!(error.code, Code::InvalidNetworkConfig);
        assert!(
            error
                .msg
                .starts_with("the network configuration has no cni.dev/valid-attachments: "),
            "{error}"
        );
    }

    #[test]
    fn an_attachment_that_names_nobody_is_refused() {
        for (list, problem) in [
            (
                r#"[{"containerID":"a"}]"#,
                "field cni.dev/valid-attachments.ifname: missing or empty",
            ),
            (
                r#"[{"containerID":"","ifname":"eth0"}]"#,
                "field cni.dev/valid-attachments.containerID: missing or empty",
            ),
            (
                r#"[{"containerID":5,"ifname":"eth0"}]"#,
                "field cni.dev/valid-attachments.containerID: invalid type",
            ),
            ("[null]", "field cni.dev/valid-attachments: invalid type"),
            (r#"["a"]"#, "field cni.dev/valid-attachments: invalid type"),
            (
                r#"{"containerID":"a"}"#,
                "field cni.dev/valid-attachments: invalid type",
            ),
        ] {
            let error = read(&format!(r#","cni.dev/valid-attachments":{list}"#)).unwrap_err();
            assert_eq!(error.code, Code::InvalidNetworkConfig);
            assert!(error.msg.starts_with(problem), "{error}");
        }
    }
}
