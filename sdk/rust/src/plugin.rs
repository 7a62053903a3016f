use crate::{Context, Error};

/// Answers one call: it appends a whole frame out to the buffer, which is empty, or
/// says what went wrong. `plugin!` makes one of each function that it is given.
pub type Handler = fn(&Context<'_>, &[u8], &mut Vec<u8>) -> Result<(), Error>;

/// What `plugin!` made: the handler of each export, for `testing::Host`.
#[derive(Clone, Copy, Default)]
#[non_exhaustive]
#[allow(missing_docs)]
pub struct Plugin {
    pub tool_call: Option<Handler>,
    pub tools_list: Option<Handler>,
    pub response_transform: Option<Handler>,
    pub request_transform: Option<Handler>,
    pub authorize: Option<Handler>,
    pub configure: Option<Handler>,
}

impl Plugin {
    /// A plugin that has nothing.
    pub const EMPTY: Plugin = Plugin {
        tool_call: None,
        tools_list: None,
        response_transform: None,
        request_transform: None,
        authorize: None,
        configure: None,
    };
}

/// Makes a plugin of functions: the exports of ABI v1, and `PLUGIN` for tests. Use it
/// once in a crate. All parts are optional, but at least one beside `configure` must be
/// there.
///
/// ```
/// use sallyport::{json::{Args, Value}, Context, Error};
///
/// sallyport::plugin! {
///     tools: [("add", add)],
///     response_transform: trim,
///     authorize: gate,
///     configure: configure,
/// }
///
/// fn add(_: &Context, args: Args) -> Result<String, Error> {
///     Ok((args.i64("a")? + args.i64("b")?).to_string())
/// }
///
/// fn trim(_: &Context, mut result: Value) -> Result<Option<Value<'static>>, Error> {
///     let object = result.as_object_mut().ok_or_else(|| Error::internal("no object"))?;
///     Ok(object.remove("_meta").map(|_| result.into_owned()))
/// }
///
/// fn gate(ctx: &Context, _: &[u8]) -> Result<(), Error> {
///     if ctx.subject() == "ada" { Ok(()) } else { Err(Error::denied("only ada may")) }
/// }
///
/// fn configure(_: &Context, _: Args) -> Result<(), Error> { Ok(()) }
/// # fn main() {
/// # let host = sallyport::testing::Host::new();
/// # assert_eq!(host.tool(&PLUGIN, "add", r#"{"a":1,"b":2}"#).text(), "3");
/// # assert!(host.response_transform(&PLUGIN, "{}").unchanged());
/// # }
/// ```
#[macro_export]
macro_rules! plugin {
    ($($body:tt)*) => {
        /// The exports of ABI v1 that have nothing to do with the kinds.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[no_mangle]
            pub extern "C" fn sallyport_abi_v1() {}

            #[no_mangle]
            pub extern "C" fn _initialize() {
                $crate::guest::initialize();
            }

            #[no_mangle]
            pub unsafe extern "C" fn sallyport_alloc(size: usize) -> *mut u8 {
                $crate::guest::alloc(size)
            }
        };

        $crate::__plugin!([] $($body)*);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __plugin {
    // All parts are taken: what they are is known.
    ([$($field:ident = $handler:expr;)*]) => {
        /// What this plugin has, for `sallyport::testing::Host`.
        #[allow(dead_code)]
        pub const PLUGIN: $crate::Plugin = {
            #[allow(unused_mut)]
            let mut plugin = $crate::Plugin::EMPTY;
            $(plugin.$field = Some($handler);)*
            plugin
        };
    };

    ([$($done:tt)*] tools: [$(($name:expr, $f:expr)),* $(,)?], any_tool: $any:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_tool_call, ToolError, tool_call, __sallyport_tool_call);
        fn __sallyport_tool_call(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            $(if ctx.tool() == $name {
                return $crate::IntoAnswer::into_answer($f(ctx, $crate::FromPayload::arguments(payload)?)?).write(out);
            })*
            $crate::IntoAnswer::into_answer($any(ctx, $crate::FromPayload::arguments(payload)?)?).write(out)
        }
        $crate::__plugin!([$($done)* tool_call = __sallyport_tool_call;] $($($rest)*)?);
    };
    ([$($done:tt)*] tools: [$(($name:expr, $f:expr)),* $(,)?] $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_tool_call, ToolError, tool_call, __sallyport_tool_call);
        fn __sallyport_tool_call(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            let tool = $crate::guest::tool(ctx, &[$($name),*])?;
            $(if tool == $name {
                return $crate::IntoAnswer::into_answer($f(ctx, $crate::FromPayload::arguments(payload)?)?).write(out);
            })*
            Err($crate::Error::unknown_tool(tool))
        }
        $crate::__plugin!([$($done)* tool_call = __sallyport_tool_call;] $($($rest)*)?);
    };
    ([$($done:tt)*] any_tool: $any:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!([$($done)*] tools: [], any_tool: $any $(, $($rest)*)?);
    };
    ([$($done:tt)*] tools_list: $f:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_tools_list, Internal, tools_list, __sallyport_tools_list);
        fn __sallyport_tools_list(ctx: &$crate::Context<'_>, _: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            $crate::IntoTools::write($f(ctx)?, out);
            Ok(())
        }
        $crate::__plugin!([$($done)* tools_list = __sallyport_tools_list;] $($($rest)*)?);
    };
    ([$($done:tt)*] response_transform: $f:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_response_transform, Internal, response_transform, __sallyport_response_transform);
        fn __sallyport_response_transform(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            $crate::IntoChange::write($f(ctx, $crate::FromPayload::result(payload)?)?, out);
            Ok(())
        }
        $crate::__plugin!([$($done)* response_transform = __sallyport_response_transform;] $($($rest)*)?);
    };
    ([$($done:tt)*] request_transform: $f:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_request_transform, Internal, request_transform, __sallyport_request_transform);
        fn __sallyport_request_transform(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            $crate::IntoChange::write($f(ctx, $crate::FromPayload::arguments(payload)?)?, out);
            Ok(())
        }
        $crate::__plugin!([$($done)* request_transform = __sallyport_request_transform;] $($($rest)*)?);
    };
    ([$($done:tt)*] authorize: $f:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_authorize, Internal, authorize, __sallyport_authorize);
        fn __sallyport_authorize(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            let () = $f(ctx, $crate::FromPayload::arguments(payload)?)?;
            $crate::guest::done(out);
            Ok(())
        }
        $crate::__plugin!([$($done)* authorize = __sallyport_authorize;] $($($rest)*)?);
    };
    ([$($done:tt)*] configure: $f:expr $(, $($rest:tt)*)?) => {
        $crate::__plugin!(@export sallyport_configure, Internal, configure, __sallyport_configure);
        fn __sallyport_configure(ctx: &$crate::Context<'_>, payload: &[u8], out: &mut ::std::vec::Vec<u8>) -> ::std::result::Result<(), $crate::Error> {
            let () = $f(ctx, $crate::FromPayload::arguments(payload)?)?;
            $crate::guest::done(out);
            Ok(())
        }
        $crate::__plugin!([$($done)* configure = __sallyport_configure;] $($($rest)*)?);
    };

    (@export $export:ident, $other:ident, $field:ident, $handler:ident) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            #[no_mangle]
            pub unsafe extern "C" fn $export(ptr: *const u8, len: usize) -> u64 {
                $crate::guest::call($handler, $crate::Status::$other, ptr, len)
            }
        };
    };
}
