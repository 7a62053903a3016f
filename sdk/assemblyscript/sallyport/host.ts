// The host functions of ABI v1, one by one: the compiler drops those that nobody
// calls, so a plugin imports only what it uses. ABI.md, section 7.

// @ts-ignore: decorator
@external("sallyport_v1", "log")
export declare function log(level: u32, ptr: usize, len: u32): void;

// @ts-ignore: decorator
@external("sallyport_v1", "read")
export declare function read(dst: usize, off: u32, cap: u32): i32;

// @ts-ignore: decorator
@external("sallyport_v1", "config")
export declare function config(kptr: usize, klen: u32, dst: usize, cap: u32): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "metric")
export declare function metric(nptr: usize, nlen: u32, kind: u32, value: f64): void;

// @ts-ignore: decorator
@external("sallyport_v1", "http")
export declare function http(ptr: usize, len: u32): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "kv_get")
export declare function kvGet(kptr: usize, klen: u32, dst: usize, cap: u32): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "kv_set")
export declare function kvSet(kptr: usize, klen: u32, vptr: usize, vlen: u32, ttl: i64, version: i64): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "kv_delete")
export declare function kvDelete(kptr: usize, klen: u32, version: i64): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "kv_list")
export declare function kvList(pptr: usize, plen: u32, aptr: usize, alen: u32): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "secret")
export declare function secret(nptr: usize, nlen: u32, dst: usize, cap: u32): i64;

// @ts-ignore: decorator
@external("sallyport_v1", "progress")
export declare function progress(ptr: usize, len: u32): void;

// @ts-ignore: decorator
@external("sallyport_v1", "call_tool")
export declare function callTool(ptr: usize, len: u32): i64;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "clock_time_get")
export declare function clockTimeGet(clock: u32, precision: i64, dst: usize): u32;

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
export declare function randomGet(dst: usize, len: u32): u32;
