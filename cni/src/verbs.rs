//! The verbs of the CNI specification.

use std::fmt::Display;
use std::io;

use rpc::journal::{Entry, Stamp};
use rpc::v1::{CollectGarbageRequest, IpamParameters};

use crate::answer::Answer;
use crate::client::Client;
use crate::clock;
use crate::environment::{Attachment, Verb};
use crate::error::{Code, Error};
use crate::failure::{Failure, Kind};
use crate::garbage;
use crate::journal::{self, JournalError};
use crate::load::Loaded;
use crate::log::Log;
use crate::net_conf::Document;
use crate::netns;
use crate::request::Call;
use crate::spec::{self, SpecVersion};

/// Carries out `verb` with the network configuration `stdin`, and returns what goes to standard output.
pub fn run(verb: &Verb, stdin: &[u8], log: &mut Log) -> Result<Vec<u8>, Error> {
    if *verb == Verb::Version {
        return Ok(spec::version_json().into_bytes());
    }
    let document = Document::parse(stdin)?;
    match verb {
        Verb::Add(attachment) => add(attachment, &document, stdin, log),
        Verb::Check(attachment) => {
            document.version.require(SpecVersion::V0_4_0, "CHECK")?;
            check(attachment, &document, stdin, log).map(|()| Vec::new())
        }
        Verb::Del(attachment) => del(attachment, &document, stdin, log).map(|()| Vec::new()),
        Verb::Status => {
            document.version.require(SpecVersion::V1_1_0, "STATUS")?;
            status(&document, log).map(|()| Vec::new())
        }
        Verb::Gc => {
            document.version.require(SpecVersion::V1_1_0, "GC")?;
            gc(&document, log).map(|()| Vec::new())
        }
        Verb::Version => Ok(spec::version_json().into_bytes()),
    }
}

fn add(attachment: &Attachment, document: &Document, stdin: &[u8], log: &mut Log) -> Result<Vec<u8>, Error> {
    let refused = |reason: &dyn Display| {
        Error::new(
            Code::Internal,
            format!("command preparation failed: failed to load config. {reason}"),
        )
    };
    let loaded = Loaded::of(document).map_err(|error| refused(&error))?;
    let client = connect(&loaded);
    log_call("ADD", attachment, stdin, &loaded, log);
    let call = Call {
        network: &document.network,
        attachment,
        conf: &loaded.conf,
        settings: &loaded.settings,
    };
    let parameters = call.reserve().map_err(|error| refused(&error))?;
    if !attachment.own_netns_allowed {
        netns::refuse_own(&attachment.netns)?;
    }
    if parameters
        .metadata
        .as_ref()
        .is_some_and(|metadata| metadata.k8s_pod_uid.is_empty())
    {
        log.warning("K8S_POD_UID is not provided by container runtime");
    }
    log.verbose(format_args!("CMD ADD: Request: {parameters:?}"));
    let pools = parameters.pools.len();
    let response = client
        .allocate(parameters, log)
        .map_err(|failure| call_failed(&failure))?;
    log.verbose(format_args!("CMD ADD: Response: {response:?}"));
    let unexpected = |reason: &dyn Display| {
        Error::new(
            Code::Internal,
            format!("unexpected response from IPAM daemon: {reason}"),
        )
    };
    let answer = Answer::read(&response, pools).map_err(|error| unexpected(&error))?;
    let dropped = answer.dropped_in(document.version);
    if dropped > 0 {
        log.warning(format_args!(
            "cniVersion {} has room for one address of each family: {dropped} reserved address(es) aren't passed on; \
             use cniVersion 0.3.0 or later",
            document.version
        ));
    }
    let result = answer
        .to_json(document.version)
        .map_err(|error| unexpected(&error))?;
    log.info(format_args!("CmdAdd succeed: {} {answer}", who(attachment)));
    Ok(result)
}

fn check(attachment: &Attachment, document: &Document, stdin: &[u8], log: &mut Log) -> Result<(), Error> {
    let loaded = load(document)?;
    let client = connect(&loaded);
    log_call("CHECK", attachment, stdin, &loaded, log);
    let call = Call {
        network: &document.network,
        attachment,
        conf: &loaded.conf,
        settings: &loaded.settings,
    };
    let parameters = call.reserve().map_err(|error| not_loaded(&error))?;
    log.verbose(format_args!("CMD CHECK: Request: {parameters:?}"));
    client
        .is_allocated(parameters, log)
        .map_err(|failure| call_failed(&failure))?;
    log.info(format_args!("CmdCheck succeed: {}", who(attachment)));
    Ok(())
}

fn del(attachment: &Attachment, document: &Document, stdin: &[u8], log: &mut Log) -> Result<(), Error> {
    // Before anything is sent: what is reserved from here on must survive this DEL.
    let began = clock::now();
    let loaded = load(document)?;
    let client = connect(&loaded);
    log_call("DEL", attachment, stdin, &loaded, log);
    let call = Call {
        network: &document.network,
        attachment,
        conf: &loaded.conf,
        settings: &loaded.settings,
    };
    let (parameters, faults) = call.release();
    for fault in faults {
        log.warning(format_args!(
            "{fault}; releasing what network {} reserved",
            document.network
        ));
    }
    log.verbose(format_args!("CMD DEL: Request: {parameters:?}"));
    if let Err(failure) = client.deallocate(parameters.clone(), log) {
        leave_in_journal(&failure, &loaded, began, &parameters, log)?;
    }
    if !attachment.own_netns_allowed {
        // As the CNI library does: said, but only after the release.
        netns::refuse_own(&attachment.netns)?;
    }
    log.info(format_args!("CmdDel succeed: {}", who(attachment)));
    Ok(())
}

/// Makes a DEL that got no answer one that succeeds when the daemon is back. Over TCP, and where the daemon answered,
/// the failure stands.
fn leave_in_journal(
    failure: &Failure,
    loaded: &Loaded,
    began: io::Result<Stamp>,
    parameters: &IpamParameters,
    log: &mut Log,
) -> Result<(), Error> {
    let (Some(folder), false) = (loaded.target.folder(), failure.kind == Kind::Refused) else {
        return Err(call_failed(failure));
    };
    let entry = began
        .map(|stamp| Entry::new(stamp, parameters))
        .map_err(JournalError::Clock);
    match entry.and_then(|entry| journal::write(folder, &entry)) {
        Ok(path) => {
            log.warning(format_args!(
                "{failure}; ipam-node will find this DEL in {}",
                path.display()
            ));
            Ok(())
        }
        Err(error) => Err(Error::new(
            Code::Internal,
            format!("grpc call failed: {failure}; and the DEL can't be left in the journal: {error}"),
        )),
    }
}

/// Success means that an ADD could be served now. A daemon that doesn't know the question answers, which is enough.
fn status(document: &Document, log: &mut Log) -> Result<(), Error> {
    let loaded = load(document)?;
    log.configure(loaded.settings.log_file.clone(), &loaded.settings.log_level);
    let Err(failure) = connect(&loaded).status(log) else {
        return Ok(());
    };
    if failure.is_unknown_method() {
        return Ok(());
    }
    let msg = match failure.kind {
        Kind::NotReached | Kind::Lost | Kind::Deadline => format!("nv-ipam: {}", failure.message),
        Kind::Unavailable | Kind::Refused => {
            format!(
                "nv-ipam: ipam-node on {} can't serve an ADD now: {failure}",
                loaded.target
            )
        }
    };
    Err(Error::new(Code::NotAvailable, msg))
}

/// Success means that nothing which this network reserved is garbage, as far as the daemon can tell. One that doesn't know
/// the question keeps no names of networks, and finds out by itself when pods are gone.
fn gc(document: &Document, log: &mut Log) -> Result<(), Error> {
    // Before anything is sent: what is reserved from here on is in no list.
    let began = clock::now();
    let live = garbage::live(document)?;
    let loaded = load(document)?;
    log.configure(loaded.settings.log_file.clone(), &loaded.settings.log_level);
    log.info(format_args!(
        "CMD GC Call: Network: {} live attachments: {}",
        document.network,
        live.len()
    ));
    let began = began.map_err(|error| {
        Error::new(
            Code::Internal,
            format!("it isn't known what was reserved before this GC, so nothing was released: {error}"),
        )
    })?;
    let request = CollectGarbageRequest {
        network_name: document.network.to_string(),
        live,
        began: Some(began),
    };
    match connect(&loaded).collect_garbage(&request, log) {
        Ok(released) => log.info(format_args!(
            "CmdGC succeed: Network: {} released {released} address(es)",
            document.network
        )),
        Err(failure) if failure.is_unknown_method() => {
            log.info(format_args!("CmdGC: the ipam-node on {} has none", loaded.target));
        }
        Err(failure) => return Err(call_failed(&failure)),
    }
    Ok(())
}

fn load(document: &Document) -> Result<Loaded, Error> {
    Loaded::of(document).map_err(|error| not_loaded(&error))
}

fn not_loaded(reason: &dyn Display) -> Error {
    Error::new(Code::Internal, format!("failed to load config. {reason}"))
}

fn call_failed(failure: &Failure) -> Error {
    Error::new(failure.cni_code(), format!("grpc call failed: {failure}"))
}

/// Done as soon as it is known where to: the daemon wakes up while the rest of the call is looked at, and logged.
fn connect(loaded: &Loaded) -> Client<'_> {
    Client::connect(&loaded.target, loaded.settings.call_timeout)
}

fn who(attachment: &Attachment) -> String {
    format!(
        "ContainerID: {} IfName: {}",
        attachment.container_id, attachment.interface
    )
}

fn log_call(verb: &str, attachment: &Attachment, stdin: &[u8], loaded: &Loaded, log: &mut Log) {
    log.configure(loaded.settings.log_file.clone(), &loaded.settings.log_level);
    log.info(format_args!(
        "CMD {verb} Call: ContainerID: {} Netns: {} IfName: {}",
        attachment.container_id,
        attachment.netns.display(),
        attachment.interface
    ));
    log.debug(format_args!(
        "CMD {verb}: Args: {} StdinData: {}",
        attachment.args,
        String::from_utf8_lossy(stdin)
    ));
    log.debug(format_args!(
        "CMD {verb}: Parsed IPAM conf: {:?} {:?}",
        loaded.settings, loaded.conf
    ));
}
