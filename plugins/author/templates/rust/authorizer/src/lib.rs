//! A plugin that lets only admins call tools that delete something. It is asked about
//! calls that the gateway's own rules allow, and can only narrow.

use sallyport::{Context, Error};

sallyport::plugin! {
    authorize: authorize,
}

/// Answers Ok when the call may pass. The arguments are there for rules that depend on
/// them.
fn authorize(ctx: &Context, _: &[u8]) -> Result<(), Error> {
    if ctx.tool().contains("delete") && !ctx.roles().any(|role| role == "admin") {
        return Err(Error::denied(format!("{} is for admins only", ctx.tool())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::PLUGIN;
    use sallyport::{testing::Host, Status};

    #[test]
    fn judges() {
        for (tool, roles, want) in [
            ("books.get", "", Status::Ok),
            ("books.delete", "", Status::Denied),
            ("books.delete", "reader", Status::Denied),
            ("books.delete", "reader,admin", Status::Ok),
        ] {
            let host = Host::new().meta("tool", tool).meta("principal.roles", roles);
            assert_eq!(host.authorize(&PLUGIN, "{}").status, want, "{} by {:?}", tool, roles);
        }
    }
}
