//! Which pools a call names, and of which type they are.

use rpc::v1::PoolType;

/// Most pools of one call: one for each address family.
pub const POOLS_MAX: usize = 2;

/// Why the pools of a configuration can't be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolsError {
    /// No layer names any, and forcePoolName forbids the network's name.
    #[error("no pool provided")]
    None,
    /// More than [`POOLS_MAX`].
    #[error("pool field can't contain more then two entries")]
    TooMany,
    /// A name is empty.
    #[error("pool field has invalid format")]
    Empty,
    /// Neither ippool nor cidrpool.
    #[error("unsupported poolType {0}, supported values: ippool, cidrpool")]
    Type(String),
}

/// The pools: `args` (`args.cni.poolNames`) if it names any, else `pool_name` split at its commas. Nothing is trimmed:
/// white space is part of a name.
pub fn pool_list(args: &[String], pool_name: &str) -> Result<Vec<String>, PoolsError> {
    let pools = if !args.is_empty() {
        args.to_vec()
    } else if pool_name.is_empty() {
        return Err(PoolsError::None);
    } else {
        pool_name.split(',').map(str::to_owned).collect()
    };
    if pools.len() > POOLS_MAX {
        return Err(PoolsError::TooMany);
    }
    if pools.iter().any(String::is_empty) {
        return Err(PoolsError::Empty);
    }
    Ok(pools)
}

/// The type of all the pools: `args` (`args.cni.poolType`) if given, else `pool_type`, in any case.
pub fn pool_type(args: &str, pool_type: &str) -> Result<PoolType, PoolsError> {
    let text = if args.is_empty() { pool_type } else { args }.to_lowercase();
    match text.as_str() {
        "ippool" => Ok(PoolType::Ippool),
        "cidrpool" => Ok(PoolType::Cidrpool),
        _ => Err(PoolsError::Type(text)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list(args: &[&str], pool_name: &str) -> Result<Vec<String>, PoolsError> {
        pool_list(
            &args.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(),
            pool_name,
        )
    }

    #[test]
    fn args_come_first_then_the_comma_separated_name() {
        assert_eq!(list(&["x"], "a,b").unwrap(), ["x"]);
        assert_eq!(list(&[], "a,b").unwrap(), ["a", "b"]);
        assert_eq!(list(&[], "a, b").unwrap(), ["a", " b"]);
        // Only the field with one text is split.
        assert_eq!(list(&["a,b"], "").unwrap(), ["a,b"]);
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert_eq!(list(&[], "").unwrap_err().to_string(), "no pool provided");
        assert_eq!(
            list(&["a", "b", "c"], "").unwrap_err().to_string(),
            "pool field can't contain more then two entries"
        );
        for too_many in ["a,b,c", "a,b,", ",,"] {
            assert_eq!(list(&[], too_many), Err(PoolsError::TooMany), "{too_many}");
        }
        for (args, name) in [
            (&["a", ""][..], ""),
            (&[""][..], "a"),
            (&[][..], "a,"),
            (&[][..], ",a"),
            (&[][..], ","),
        ] {
            assert_eq!(
                list(args, name).unwrap_err().to_string(),
                "pool field has invalid format"
            );
        }
    }

    #[test]
    fn the_type_is_read_in_any_case() {
        assert_eq!(pool_type("", "ippool"), Ok(PoolType::Ippool));
        assert_eq!(pool_type("CIDRPool", "ippool"), Ok(PoolType::Cidrpool));
        assert_eq!(
            pool_type("", "Pool").unwrap_err().to_string(),
            "unsupported poolType pool, supported values: ippool, cidrpool"
        );
    }

    proptest! {
        #[test]
        fn a_list_is_one_or_two_names_and_joins_to_what_was_given(text in "[a,]{0,6}") {
            match pool_list(&[], &text) {
                Ok(pools) => {
                    prop_assert!((1..=2).contains(&pools.len()) && !pools.iter().any(String::is_empty));
                    prop_assert_eq!(pools.join(","), text);
                }
                Err(_) => prop_assert!(text.is_empty() || text.starts_with(',') || text.ends_with(',')
                    || text.contains(",,") || text.matches(',').count() > 1),
            }
        }
    }
}
