/* Plugins for the Sallyport MCP gateway in C: one header, no C library.
 *
 *     gateway                        this header
 *       | arguments, who calls --->   your handler(call)
 *       | <---- log, http, kv ...      sp_log, sp_http, sp_kv_get ...
 *       | result, or a status  <---   return sp_say(text)
 *
 * A whole plugin:
 *
 *     #include "sallyport.h"
 *
 *     static sp_answer greet(const sp_call *call) {
 *         sp_text name;
 *         if (!sp_arg_string(call, "name", &name)) return sp_wrong("name", "a string");
 *         sp_buf said = sp_buffer();
 *         sp_put(&said, SP("Hello, "));
 *         sp_put(&said, name);
 *         sp_put(&said, SP("!"));
 *         return sp_say(sp_done(&said));
 *     }
 *
 *     SP_PLUGIN
 *     SP_TOOLS({"greet", greet})
 *
 * Build it freestanding:
 *
 *     clang-19 --target=wasm32-unknown-unknown -O2 -ffreestanding -nostdlib -mbulk-memory
 *              -Wl,--no-entry -Wl,--gc-sections -o greet.wasm greet.c
 *
 * Memory that the functions below hand out lives until the next call: nothing is freed
 * and nothing grows. What shall stay longer belongs into variables of the plugin, which
 * one instance keeps from call to call, of different callers: never keep what belongs
 * to a caller. Only those host functions that the plugin calls are imported. Include
 * the header in one .c file. sdk/ABI.md is the contract below.
 *
 * Elsewhere than on WebAssembly the header compiles too, so that handlers can be tested:
 * see sp_answer_frame and the sp_import_ functions, which the test then defines.
 */
#ifndef SALLYPORT_H
#define SALLYPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Text is a piece of memory; it has no zero at its end. */
typedef struct {
    const uint8_t *at;
    uint32_t len;
} sp_text;

/* SP("literal") is a sp_text. */
#define SP(literal) ((sp_text){(const uint8_t *)(literal), (uint32_t)(sizeof(literal) - 1)})

/* Statuses of an answer: section 6 of ABI.md. */
enum {
    SP_OK = 0,
    SP_UNCHANGED = 1,
    SP_TOOL_ERROR = 2,   /* the model reads the text */
    SP_INVALID_ARGS = 3, /* say which argument, and what would be right */
    SP_UNKNOWN_TOOL = 4,
    SP_DENIED = 5,
    SP_UNAVAILABLE = 6,
    SP_INTERNAL = 7 /* the text goes to the log only */
};

/* Errors of host functions: section 7. Any other negative number is UNAVAILABLE. */
enum {
    SP_ERR_DENIED = -1,
    SP_ERR_NOT_FOUND = -2,
    SP_ERR_INVALID = -3,
    SP_ERR_TOO_LARGE = -4,
    SP_ERR_TIMEOUT = -5,
    SP_ERR_UNAVAILABLE = -6,
    SP_ERR_QUOTA = -7,
    SP_ERR_CONFLICT = -8
};

enum { SP_DEBUG = 0, SP_INFO = 1, SP_WARN = 2, SP_ERROR = 3 };
enum { SP_COUNTER = 0, SP_GAUGE = 1, SP_HISTOGRAM = 2 };

enum {
    SP_MAX_PAIRS = 64,
    SP_MAX_DEPTH = 64,            /* of JSON */
    SP_MAX_FRAME = 64 << 20,      /* bytes: the most that a gateway lets a frame be */
    SP_MAX_INPUT = 128 << 20,     /* bytes: that, doubled as hosts do that grow by doubling */
    SP_NATIVE_MEMORY = 16 << 20   /* bytes, elsewhere than on WebAssembly */
};

/* The pairs of a frame as they lie in it, with all lengths proven. */
typedef struct {
    const uint8_t *at;
    uint32_t size, n;
} sp_pairs;

/* One call. payload: the arguments, the result, or the configuration. */
typedef struct {
    sp_pairs meta;
    sp_text payload;
} sp_call;

/* A frame out. */
typedef sp_text sp_answer;
typedef sp_answer (*sp_handler)(const sp_call *call);

#define SP_FN static inline __attribute__((unused))

/* ------------------------------------------------------------------ memory */

/* One range: the input buffer first, then what calls take, which begins anew with each. */
static struct {
    uint8_t *base;      /* where the input buffer begins */
    uint32_t input;     /* its size */
    uint32_t used;      /* bytes from base, input included */
} sp_memory;

#ifdef __wasm__
extern uint8_t __heap_base;

SP_FN uint8_t *sp_base(void) { return (uint8_t *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15); }

/* Makes sure that `size` bytes from base on are there. */
SP_FN bool sp_reach(uint64_t size) {
    uint64_t end = (uint64_t)(uintptr_t)sp_base() + size, have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end <= have) return true;
    if (end > 0xffff0000u) return false;
    return __builtin_wasm_memory_grow(0, (size_t)((end - have + 0xffff) >> 16)) != (size_t)-1;
}
#else
static uint8_t sp_native_memory[SP_NATIVE_MEMORY] __attribute__((unused));
SP_FN uint8_t *sp_base(void) { return sp_native_memory; }
SP_FN bool sp_reach(uint64_t size) { return size <= SP_NATIVE_MEMORY; }
#endif

/* Memory until the next call, NULL when there is none left. */
SP_FN void *sp_alloc(uint32_t size) {
    uint64_t from = ((uint64_t)sp_memory.used + 7) & ~(uint64_t)7;
    if (!sp_reach(from + size)) return NULL;
    sp_memory.used = (uint32_t)(from + size);
    return sp_base() + from;
}

SP_FN void sp_copy(void *to, const void *from, uint32_t size) {
    if (size > 0 && to != from) __builtin_memcpy(to, from, size);
}

SP_FN bool sp_same(sp_text a, sp_text b) {
    if (a.len != b.len) return false;
    for (uint32_t n = 0; n < a.len; n++)
        if (a.at[n] != b.at[n]) return false;
    return true;
}

/* The text of a C string. */
SP_FN sp_text sp_z(const char *s) {
    uint32_t n = 0;
    while (s[n] != 0) n++;
    return (sp_text){(const uint8_t *)s, n};
}

/* Where part lies in text, -1 when it does not. */
SP_FN int64_t sp_find(sp_text text, sp_text part) {
    for (uint32_t n = 0; part.len <= text.len && n <= text.len - part.len; n++)
        if (sp_same((sp_text){text.at + n, part.len}, part)) return n;
    return -1;
}

/* A buffer that grows: the output of a handler. When memory ends it is `full`, and
 * sp_done gives an empty text. */
typedef struct {
    uint8_t *at;
    uint32_t len, cap;
    bool full;
} sp_buf;

SP_FN sp_buf sp_buffer(void) { return (sp_buf){NULL, 0, 0, false}; }

SP_FN bool sp_room(sp_buf *b, uint32_t size) {
    if (b->full) return false;
    if (size <= b->cap - b->len) return true;
    uint64_t want = (uint64_t)b->len + size;
    if (want > SP_MAX_INPUT) return !(b->full = true);
    uint64_t cap = (uint64_t)b->cap * 2 > want ? (uint64_t)b->cap * 2 : want + 64;
    /* The last that was taken grows where it is. */
    if (b->at != NULL && b->at + b->cap == sp_base() + sp_memory.used && sp_reach((uint64_t)sp_memory.used + (cap - b->cap))) {
        sp_memory.used += (uint32_t)(cap - b->cap);
        b->cap = (uint32_t)cap;
        return true;
    }
    uint8_t *at = sp_alloc((uint32_t)cap);
    if (at == NULL) return !(b->full = true);
    sp_copy(at, b->at, b->len);
    b->at = at;
    b->cap = (uint32_t)cap;
    return true;
}

SP_FN void sp_put(sp_buf *b, sp_text text) {
    if (!sp_room(b, text.len)) return;
    sp_copy(b->at + b->len, text.at, text.len);
    b->len += text.len;
}

SP_FN void sp_put_byte(sp_buf *b, uint8_t byte) { sp_put(b, (sp_text){&byte, 1}); }

SP_FN void sp_put_u64(sp_buf *b, uint64_t v) {
    uint8_t digits[20];
    uint32_t n = 20;
    do {
        digits[--n] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    sp_put(b, (sp_text){digits + n, 20 - n});
}

SP_FN void sp_put_i64(sp_buf *b, int64_t v) {
    if (v < 0) sp_put_byte(b, '-');
    sp_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

/* Appends text as a JSON string. */
SP_FN void sp_put_json(sp_buf *b, sp_text text) {
    static const uint8_t hex[] = "0123456789abcdef";
    sp_put_byte(b, '"');
    uint32_t from = 0;
    for (uint32_t n = 0; n < text.len; n++) {
        uint8_t c = text.at[n];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        sp_put(b, (sp_text){text.at + from, n - from});
        from = n + 1;
        if (c == '"' || c == '\\')
            sp_put(b, (sp_text){(uint8_t[]){'\\', c}, 2});
        else if (c == '\n')
            sp_put(b, SP("\\n"));
        else
            sp_put(b, (sp_text){(uint8_t[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6});
    }
    sp_put(b, (sp_text){text.at + from, text.len - from});
    sp_put_byte(b, '"');
}

SP_FN sp_text sp_done(const sp_buf *b) {
    if (b->full || b->len == 0) return SP("");
    return (sp_text){b->at, b->len};
}

/* ------------------------------------------------------------------ frames */

SP_FN uint32_t sp_load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

SP_FN void sp_put32(sp_buf *b, uint32_t v) {
    sp_put(b, (sp_text){(uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)}, 4});
}

/* Cuts a length and its text off. */
SP_FN bool sp_cut(sp_text *rest, sp_text *text) {
    if (rest->len < 4) return false;
    uint32_t n = sp_load32(rest->at);
    if (n > rest->len - 4) return false;
    *text = (sp_text){rest->at + 4, n};
    *rest = (sp_text){rest->at + 4 + n, rest->len - 4 - n};
    return true;
}

/* Cuts a frame in into pairs and payload; false when a length runs past the end or there
 * are more than 64 pairs. */
SP_FN bool sp_split(sp_text frame, sp_pairs *pairs, sp_text *payload) {
    *pairs = (sp_pairs){NULL, 0, 0};
    *payload = SP("");
    if (frame.len < 4) return false;
    uint32_t n = sp_load32(frame.at);
    if (n > SP_MAX_PAIRS) return false;
    sp_text rest = {frame.at + 4, frame.len - 4}, text;
    for (uint32_t i = 0; i < 2 * n; i++)
        if (!sp_cut(&rest, &text)) return false;
    *pairs = (sp_pairs){frame.at + 4, frame.len - 4 - rest.len, n};
    *payload = rest;
    return true;
}

/* sp_split for a frame out. */
SP_FN bool sp_split_out(sp_text frame, uint32_t *status, sp_pairs *pairs, sp_text *payload) {
    *status = SP_INTERNAL;
    *pairs = (sp_pairs){NULL, 0, 0};
    *payload = SP("");
    if (frame.len < 4 || frame.at[2] != 0 || frame.at[3] != 0) return false;
    *status = (uint32_t)frame.at[0] | (uint32_t)frame.at[1] << 8;
    return sp_split((sp_text){frame.at + 4, frame.len - 4}, pairs, payload);
}

/* Takes the first pair off; false when there is none left. */
SP_FN bool sp_next(sp_pairs *pairs, sp_text *key, sp_text *value) {
    if (pairs->n == 0) return false;
    sp_text rest = {pairs->at, pairs->size};
    if (!sp_cut(&rest, key) || !sp_cut(&rest, value)) return false;
    *pairs = (sp_pairs){rest.at, rest.len, pairs->n - 1};
    return true;
}

/* The value of the first pair with that key; false when there is none. */
SP_FN bool sp_get(sp_pairs pairs, const char *key, sp_text *value) {
    sp_text name, wanted = sp_z(key);
    while (sp_next(&pairs, &name, value))
        if (sp_same(name, wanted)) return true;
    *value = SP("");
    return false;
}

/* What the host tells about the call, empty when it does not: only what the manifest
 * lists under `context` is sent. */
SP_FN sp_text sp_meta(const sp_call *call, const char *key) {
    sp_text value;
    sp_get(call->meta, key, &value);
    return value;
}

/* A frame that is being written: pairs first, then the payload. */
typedef struct {
    sp_buf buf;
    uint32_t count; /* where the number of pairs stands */
    uint32_t n;
} sp_writer;

SP_FN sp_writer sp_begin_in(void) {
    sp_writer w = {sp_buffer(), 0, 0};
    sp_put32(&w.buf, 0);
    return w;
}

SP_FN sp_writer sp_begin_out(uint32_t status) {
    sp_writer w = {sp_buffer(), 4, 0};
    sp_put32(&w.buf, status & 0xffff);
    sp_put32(&w.buf, 0);
    return w;
}

/* Pairs past 64 are left out. */
SP_FN void sp_pair(sp_writer *w, sp_text key, sp_text value) {
    if (w->n == SP_MAX_PAIRS || !sp_room(&w->buf, 8)) return;
    sp_put32(&w->buf, key.len);
    sp_put(&w->buf, key);
    sp_put32(&w->buf, value.len);
    sp_put(&w->buf, value);
    w->n++;
    if (!w->buf.full) w->buf.at[w->count] = (uint8_t)w->n;
}

SP_FN sp_text sp_end(sp_writer *w, sp_text payload) {
    sp_put(&w->buf, payload);
    return sp_done(&w->buf);
}

/* ----------------------------------------------------------------- answers */

/* INTERNAL, "out of memory", made ahead: it needs none. */
SP_FN sp_answer sp_out_of_memory(void) {
    return SP("\7\0\0\0\0\0\0\0out of memory");
}

SP_FN sp_answer sp_finish(sp_writer *w, sp_text payload) {
    sp_text frame = sp_end(w, payload);
    return frame.len == 0 ? sp_out_of_memory() : frame;
}

/* OK with one block of text. */
SP_FN sp_answer sp_say(sp_text text) {
    sp_writer w = sp_begin_out(SP_OK);
    sp_pair(&w, SP("mime"), SP("text/plain"));
    return sp_finish(&w, text);
}

/* OK with text of another type, which begins with text/. */
SP_FN sp_answer sp_say_as(sp_text mime, sp_text text) {
    sp_writer w = sp_begin_out(SP_OK);
    sp_pair(&w, SP("mime"), mime);
    return sp_finish(&w, text);
}

/* OK with JSON: a CallToolResult, arguments, a list of tools. */
SP_FN sp_answer sp_json(sp_text json) {
    sp_writer w = sp_begin_out(SP_OK);
    return sp_finish(&w, json);
}

/* OK without a payload: the call may pass, the configuration is fine. */
SP_FN sp_answer sp_ok(void) { return SP("\0\0\0\0\0\0\0\0"); }

/* What came in stands. */
SP_FN sp_answer sp_unchanged(void) { return SP("\1\0\0\0\0\0\0\0"); }

/* SP_TOOL_ERROR, SP_DENIED ... with a text. */
SP_FN sp_answer sp_fail(uint32_t status, sp_text text) {
    sp_writer w = sp_begin_out(status);
    return sp_finish(&w, text);
}

/* UNAVAILABLE, and when to try again. */
SP_FN sp_answer sp_unavailable(sp_text text, uint64_t retry_after_ms) {
    sp_buf ms = sp_buffer();
    sp_put_u64(&ms, retry_after_ms);
    sp_writer w = sp_begin_out(SP_UNAVAILABLE);
    sp_pair(&w, SP("retry_after_ms"), sp_done(&ms));
    return sp_finish(&w, text);
}

/* INVALID_ARGS, "city must be a string". */
SP_FN sp_answer sp_wrong(const char *member, const char *want) {
    sp_buf b = sp_buffer();
    sp_put(&b, sp_z(member));
    sp_put(&b, SP(" must be "));
    sp_put(&b, sp_z(want));
    return sp_fail(SP_INVALID_ARGS, sp_done(&b));
}

/* The name of an error of a host function. */
SP_FN sp_text sp_error_name(int64_t code) {
    switch (code) {
    case SP_ERR_DENIED: return SP("denied");
    case SP_ERR_NOT_FOUND: return SP("not found");
    case SP_ERR_INVALID: return SP("invalid argument");
    case SP_ERR_TOO_LARGE: return SP("too large");
    case SP_ERR_TIMEOUT: return SP("timed out");
    case SP_ERR_QUOTA: return SP("quota used up");
    case SP_ERR_CONFLICT: return SP("version conflict");
    default: return SP("unavailable");
    }
}

/* TOOL_ERROR with what was done and the name of the error: "kv get: not found". */
SP_FN sp_answer sp_host_failed(const char *doing, int64_t code) {
    sp_buf b = sp_buffer();
    sp_put(&b, sp_z(doing));
    sp_put(&b, SP(": "));
    sp_put(&b, sp_error_name(code));
    return sp_fail(SP_TOOL_ERROR, sp_done(&b));
}

/* ----------------------------------------------------------- host functions */

#ifdef __wasm__
#define SP_IMPORT(name) __attribute__((import_module("sallyport_v1"), import_name(#name)))
#else
#define SP_IMPORT(name)
#endif

SP_IMPORT(log) void sp_import_log(uint32_t level, const uint8_t *ptr, uint32_t len);
SP_IMPORT(read) int32_t sp_import_read(uint8_t *dst, uint32_t off, uint32_t cap);
SP_IMPORT(config) int64_t sp_import_config(const uint8_t *kptr, uint32_t klen, uint8_t *dst, uint32_t cap);
SP_IMPORT(metric) void sp_import_metric(const uint8_t *nptr, uint32_t nlen, uint32_t kind, double value);
SP_IMPORT(http) int64_t sp_import_http(const uint8_t *ptr, uint32_t len);
SP_IMPORT(kv_get) int64_t sp_import_kv_get(const uint8_t *kptr, uint32_t klen, uint8_t *dst, uint32_t cap);
SP_IMPORT(kv_set)
int64_t sp_import_kv_set(const uint8_t *kptr, uint32_t klen, const uint8_t *vptr, uint32_t vlen, int64_t ttl, int64_t version);
SP_IMPORT(kv_delete) int64_t sp_import_kv_delete(const uint8_t *kptr, uint32_t klen, int64_t version);
SP_IMPORT(kv_list) int64_t sp_import_kv_list(const uint8_t *pptr, uint32_t plen, const uint8_t *aptr, uint32_t alen);
SP_IMPORT(secret) int64_t sp_import_secret(const uint8_t *nptr, uint32_t nlen, uint8_t *dst, uint32_t cap);
SP_IMPORT(progress) void sp_import_progress(const uint8_t *ptr, uint32_t len);
SP_IMPORT(call_tool) int64_t sp_import_call_tool(const uint8_t *ptr, uint32_t len);

/* One line for operators: no secrets, no arguments. */
SP_FN void sp_log(uint32_t level, sp_text line) { sp_import_log(level, line.at, line.len); }

/* Ends the call and the instance; the line is in the log, and not in the answer. */
SP_FN _Noreturn void sp_panic(sp_text line) {
    sp_log(SP_ERROR, line);
    __builtin_trap();
}

/* Reads the n bytes that wait in the slot; a negative n is handed on. */
SP_FN int64_t sp_pending(int64_t n, sp_text *result) {
    *result = SP("");
    if (n <= 0) return n;
    if (n > SP_MAX_FRAME) return SP_ERR_TOO_LARGE;
    uint8_t *at = sp_alloc((uint32_t)n);
    if (at == NULL) return SP_ERR_TOO_LARGE;
    for (uint32_t off = 0; off < (uint32_t)n;) {
        int32_t got = sp_import_read(at + off, off, (uint32_t)n - off);
        if (got <= 0 || (uint32_t)got > (uint32_t)n - off) return got < 0 ? got : SP_ERR_INVALID;
        off += (uint32_t)got;
    }
    *result = (sp_text){at, (uint32_t)n};
    return n;
}

enum { SP_SMALL = 512 }; /* bytes that a result may have to come without the slot */

/* What a function of the (dst, cap) kind answered: it is in `small`, or in the slot. */
SP_FN int64_t sp_result(int64_t n, const uint8_t *small, sp_text *result) {
    if (n > SP_SMALL) return sp_pending(n, result);
    *result = n > 0 ? (sp_text){small, (uint32_t)n} : SP("");
    return n;
}

/* One member of the configuration as JSON, all of it for an empty key. Negative = error. */
SP_FN int64_t sp_config(sp_text key, sp_text *value) {
    uint8_t *small = sp_alloc(SP_SMALL);
    if (small == NULL) return SP_ERR_TOO_LARGE;
    return sp_result(sp_import_config(key.at, key.len, small, SP_SMALL), small, value);
}

/* A secret that the manifest names and the operator granted. */
SP_FN int64_t sp_secret(sp_text name, sp_text *value) {
    uint8_t *small = sp_alloc(SP_SMALL);
    if (small == NULL) return SP_ERR_TOO_LARGE;
    return sp_result(sp_import_secret(name.at, name.len, small, SP_SMALL), small, value);
}

SP_FN void sp_metric(sp_text name, uint32_t kind, double value) { sp_import_metric(name.at, name.len, kind, value); }

/* How far the call is; total 0 = not known. */
SP_FN void sp_progress(uint64_t done, uint64_t total, sp_text message) {
    sp_buf a = sp_buffer(), b = sp_buffer();
    sp_put_u64(&a, done);
    sp_put_u64(&b, total);
    sp_writer w = sp_begin_in();
    sp_pair(&w, SP("progress"), sp_done(&a));
    if (total > 0) sp_pair(&w, SP("total"), sp_done(&b));
    sp_text frame = sp_end(&w, message);
    sp_import_progress(frame.at, frame.len);
}

/* What http and call_tool answer: status, headers or pairs, body. */
typedef struct {
    uint32_t status;
    sp_pairs pairs;
    sp_text body;
} sp_reply;

SP_FN int64_t sp_replied(int64_t n, sp_reply *reply) {
    sp_text frame;
    if ((n = sp_pending(n, &frame)) < 0) return n;
    return sp_split_out(frame, &reply->status, &reply->pairs, &reply->body) ? 0 : SP_ERR_INVALID;
}

/* An HTTP request: add headers with sp_pair, then sp_http sends it. */
SP_FN sp_writer sp_request(sp_text method, sp_text url) {
    sp_writer w = sp_begin_in();
    sp_pair(&w, SP(":method"), method);
    sp_pair(&w, SP(":url"), url);
    return w;
}

/* 0, or a negative error. A status of 400 or more is an answer. */
SP_FN int64_t sp_http(sp_writer *request, sp_text body, sp_reply *reply) {
    sp_text frame = sp_end(request, body);
    return frame.len == 0 ? SP_ERR_TOO_LARGE : sp_replied(sp_import_http(frame.at, frame.len), reply);
}

/* Calls another tool with the rights of the caller. 0, or a negative error; the status of
 * the reply is one of SP_OK ... and its body a CallToolResult, or text: section 7. */
SP_FN int64_t sp_call_tool(sp_text tool, sp_text arguments, sp_reply *reply) {
    sp_writer w = sp_begin_in();
    sp_pair(&w, SP("tool"), tool);
    sp_text frame = sp_end(&w, arguments);
    return frame.len == 0 ? SP_ERR_TOO_LARGE : sp_replied(sp_import_call_tool(frame.at, frame.len), reply);
}

/* 0 and the value with its version, or a negative error. */
SP_FN int64_t sp_kv_get(sp_text key, sp_text *value, uint64_t *version) {
    uint8_t *small = sp_alloc(SP_SMALL);
    if (small == NULL) return SP_ERR_TOO_LARGE;
    sp_text both;
    int64_t n = sp_result(sp_import_kv_get(key.at, key.len, small, SP_SMALL), small, &both);
    if (n < 0) return n;
    if (both.len < 8) return SP_ERR_INVALID;
    *version = (uint64_t)sp_load32(both.at) | (uint64_t)sp_load32(both.at + 4) << 32;
    *value = (sp_text){both.at + 8, both.len - 8};
    return 0;
}

/* ttl in ms, 0 = for ever; version: -1 = whatever is there, 0 = only if there is none,
 * else only if the key has it. The new version, or a negative error. */
SP_FN int64_t sp_kv_set(sp_text key, sp_text value, int64_t ttl, int64_t version) {
    return sp_import_kv_set(key.at, key.len, value.at, value.len, ttl, version);
}

SP_FN int64_t sp_kv_delete(sp_text key, int64_t version) { return sp_import_kv_delete(key.at, key.len, version); }

/* At most 64 keys that begin with prefix and come after `after`, with their versions. */
SP_FN int64_t sp_kv_list(sp_text prefix, sp_text after, sp_pairs *keys) {
    sp_text frame, payload;
    int64_t n = sp_pending(sp_import_kv_list(prefix.at, prefix.len, after.at, after.len), &frame);
    if (n < 0) return n;
    return sp_split(frame, keys, &payload) ? 0 : SP_ERR_INVALID;
}

/* -------------------------------------------------------------------- JSON */

/* A strict reader of what is needed: members of objects, elements of arrays, strings and
 * whole numbers. Other numbers are handed out as their text. */

SP_FN void sp_json_space(sp_text *j) {
    while (j->len > 0 && (*j->at == ' ' || *j->at == '\t' || *j->at == '\n' || *j->at == '\r')) j->at++, j->len--;
}

SP_FN bool sp_json_take(sp_text *j, uint8_t c) {
    sp_json_space(j);
    if (j->len == 0 || *j->at != c) return false;
    j->at++, j->len--;
    return true;
}

SP_FN bool sp_json_word(sp_text *j, sp_text word) {
    if (j->len < word.len || !sp_same((sp_text){j->at, word.len}, word)) return false;
    j->at += word.len, j->len -= word.len;
    return true;
}

SP_FN uint32_t sp_json_digits(sp_text *j) {
    uint32_t n = 0;
    while (j->len > 0 && *j->at >= '0' && *j->at <= '9') j->at++, j->len--, n++;
    return n;
}

SP_FN int32_t sp_json_hex(const uint8_t *p) {
    int32_t v = 0;
    for (int n = 0; n < 4; n++) {
        uint8_t c = p[n], d = (uint8_t)(c | 0x20);
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (d >= 'a' && d <= 'f')
            v = v << 4 | (d - 'a' + 10);
        else
            return -1;
    }
    return v;
}

SP_FN bool sp_json_skip_string(sp_text *j) {
    if (!sp_json_take(j, '"')) return false;
    while (j->len > 0) {
        uint8_t c = *j->at;
        j->at++, j->len--;
        if (c == '"') return true;
        if (c < 0x20) return false;
        if (c != '\\') continue;
        if (j->len == 0) return false;
        c = *j->at;
        j->at++, j->len--;
        if (c == 'u') {
            if (j->len < 4 || sp_json_hex(j->at) < 0) return false;
            j->at += 4, j->len -= 4;
        } else if (sp_find(SP("\"\\/bfnrt"), (sp_text){&c, 1}) < 0) {
            return false;
        }
    }
    return false;
}

/* Takes one value off j. */
static inline __attribute__((unused)) bool sp_json_skip(sp_text *j, uint32_t depth) {
    sp_json_space(j);
    if (j->len == 0) return false;
    uint8_t c = *j->at;
    switch (c) {
    case '"': return sp_json_skip_string(j);
    case 't': return sp_json_word(j, SP("true"));
    case 'f': return sp_json_word(j, SP("false"));
    case 'n': return sp_json_word(j, SP("null"));
    case '{':
    case '[': {
        uint8_t close = c == '{' ? '}' : ']';
        if (depth >= SP_MAX_DEPTH) return false;
        sp_json_take(j, c);
        if (sp_json_take(j, close)) return true;
        do {
            if (c == '{' && (!sp_json_skip_string(j) || !sp_json_take(j, ':'))) return false;
            if (!sp_json_skip(j, depth + 1)) return false;
        } while (sp_json_take(j, ','));
        return sp_json_take(j, close);
    }
    }
    sp_json_take(j, '-');
    if (j->len > 0 && *j->at == '0')
        j->at++, j->len--;
    else if (sp_json_digits(j) == 0)
        return false;
    if (j->len > 0 && *j->at == '.') {
        j->at++, j->len--;
        if (sp_json_digits(j) == 0) return false;
    }
    if (j->len > 0 && (*j->at | 0x20) == 'e') {
        j->at++, j->len--;
        if (j->len > 0 && (*j->at == '+' || *j->at == '-')) j->at++, j->len--;
        if (sp_json_digits(j) == 0) return false;
    }
    return true;
}

/* Whether it is one value and nothing else. UTF-8 is not looked at: the gateway has. */
SP_FN bool sp_json_valid(sp_text j) {
    if (!sp_json_skip(&j, 0)) return false;
    sp_json_space(&j);
    return j.len == 0;
}

/* A string without its quotation marks and escapes. Half of a surrogate pair becomes
 * U+FFFD. False when it is no string, or memory ends. */
SP_FN bool sp_json_string(sp_text value, sp_text *text) {
    sp_text rest = value;
    *text = SP("");
    if (!sp_json_skip_string(&rest) || rest.len > 0) return false;
    sp_text in = {value.at + 1, value.len - 2};
    if (sp_find(in, SP("\\")) < 0) {
        *text = in;
        return true;
    }
    uint8_t *out = sp_alloc(in.len); /* no escape is shorter than what it stands for */
    if (out == NULL) return false;
    uint32_t n = 0;
    for (uint32_t i = 0; i < in.len; i++) {
        uint8_t c = in.at[i];
        if (c != '\\') {
            out[n++] = c;
            continue;
        }
        c = in.at[++i];
        switch (c) {
        case 'b': out[n++] = 8; continue;
        case 'f': out[n++] = 12; continue;
        case 'n': out[n++] = 10; continue;
        case 'r': out[n++] = 13; continue;
        case 't': out[n++] = 9; continue;
        case 'u': break;
        default: out[n++] = c; continue;
        }
        uint32_t u = (uint32_t)sp_json_hex(in.at + i + 1);
        i += 4;
        if (u >= 0xd800 && u < 0xe000) {
            int32_t low = -1;
            if (u < 0xdc00 && in.len - i > 6 && in.at[i + 1] == '\\' && in.at[i + 2] == 'u') low = sp_json_hex(in.at + i + 3);
            if (low >= 0xdc00 && low < 0xe000) {
                u = 0x10000 + ((u - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
                i += 6;
            } else {
                u = 0xfffd;
            }
        }
        if (u < 0x80) {
            out[n++] = (uint8_t)u;
        } else if (u < 0x800) {
            out[n++] = (uint8_t)(0xc0 | u >> 6);
            out[n++] = (uint8_t)(0x80 | (u & 63));
        } else if (u < 0x10000) {
            out[n++] = (uint8_t)(0xe0 | u >> 12);
            out[n++] = (uint8_t)(0x80 | (u >> 6 & 63));
            out[n++] = (uint8_t)(0x80 | (u & 63));
        } else {
            out[n++] = (uint8_t)(0xf0 | u >> 18);
            out[n++] = (uint8_t)(0x80 | (u >> 12 & 63));
            out[n++] = (uint8_t)(0x80 | (u >> 6 & 63));
            out[n++] = (uint8_t)(0x80 | (u & 63));
        }
    }
    *text = (sp_text){out, n};
    return true;
}

/* A whole number that fits; 3.0 and 3e2 are whole. */
SP_FN bool sp_json_i64(sp_text value, int64_t *number) {
    if (!sp_json_valid(value) || value.len == 0) return false;
    bool negative = *value.at == '-', point = false;
    uint64_t v = 0;
    int32_t fraction = 0, exponent = 0;
    uint32_t n = negative ? 1 : 0;
    if (n == value.len || value.at[n] < '0' || value.at[n] > '9') return false;
    for (; n < value.len && (value.at[n] | 0x20) != 'e'; n++) {
        if (value.at[n] == '.') {
            point = true;
            continue;
        }
        uint64_t digit = (uint64_t)(value.at[n] - '0');
        if (v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
        fraction += point ? 1 : 0;
    }
    if (n < value.len) {
        bool down = value.at[++n] == '-';
        if (value.at[n] == '-' || value.at[n] == '+') n++;
        for (; n < value.len; n++)
            if (exponent < 1000) exponent = exponent * 10 + (value.at[n] - '0');
        if (down) exponent = -exponent;
    }
    exponent -= fraction;
    for (; exponent < 0 && v != 0; exponent++) {
        if (v % 10 != 0) return false;
        v /= 10;
    }
    for (; exponent > 0 && v != 0; exponent--) {
        if (v > UINT64_MAX / 10) return false;
        v *= 10;
    }
    if (v > (uint64_t)INT64_MAX + (negative ? 1 : 0)) return false;
    *number = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* The member of an object with exactly that name, as JSON: 1, 0 when it is not there, -1
 * when it is no object. No bytes at all are an object without members. */
SP_FN int sp_json_member(sp_text object, const char *name, sp_text *value) {
    sp_text wanted = sp_z(name), j = object;
    *value = SP("");
    sp_json_space(&j);
    if (j.len == 0) return 0;
    if (!sp_json_valid(object) || !sp_json_take(&j, '{')) return -1;
    int found = 0;
    while (!sp_json_take(&j, '}') && found == 0) {
        sp_json_take(&j, ',');
        sp_json_space(&j);
        sp_text key = j, text;
        if (!sp_json_skip_string(&j)) return -1;
        key.len -= j.len;
        if (!sp_json_take(&j, ':')) return -1;
        sp_json_space(&j);
        sp_text v = j;
        if (!sp_json_skip(&j, 1)) return -1;
        v.len -= j.len;
        uint32_t mark = sp_memory.used;
        if (sp_json_string(key, &text) && sp_same(text, wanted)) {
            *value = v;
            found = 1;
        }
        sp_memory.used = mark;
    }
    return found;
}

/* Takes the next element off an array, for which `rest` begins as the whole array:
 *
 *     sp_text rest = array, element;
 *     while (sp_json_next(&rest, &element)) ...
 */
SP_FN bool sp_json_next(sp_text *rest, sp_text *element) {
    if (!sp_json_take(rest, '[') && !sp_json_take(rest, ',')) return false;
    sp_json_space(rest);
    if (rest->len == 0 || *rest->at == ']') return false;
    *element = *rest;
    if (!sp_json_skip(rest, 1)) return false;
    element->len -= rest->len;
    return true;
}

/* Arguments. sp_arg_*: false when the member is missing or something else; sp_opt_*: a
 * member that is missing, or null, leaves the variable as it is, and false says that it is
 * something else. */
SP_FN bool sp_arg_string(const sp_call *call, const char *name, sp_text *text) {
    sp_text value;
    return sp_json_member(call->payload, name, &value) == 1 && sp_json_string(value, text);
}

SP_FN bool sp_arg_i64(const sp_call *call, const char *name, int64_t *number) {
    sp_text value;
    return sp_json_member(call->payload, name, &value) == 1 && sp_json_i64(value, number);
}

SP_FN bool sp_opt_string(const sp_call *call, const char *name, sp_text *text) {
    sp_text value;
    int there = sp_json_member(call->payload, name, &value);
    return there == 0 || (there == 1 && (sp_same(value, SP("null")) || sp_json_string(value, text)));
}

SP_FN bool sp_opt_i64(const sp_call *call, const char *name, int64_t *number) {
    sp_text value;
    int there = sp_json_member(call->payload, name, &value);
    return there == 0 || (there == 1 && (sp_same(value, SP("null")) || sp_json_i64(value, number)));
}

SP_FN bool sp_opt_bool(const sp_call *call, const char *name, bool *truth) {
    sp_text value;
    int there = sp_json_member(call->payload, name, &value);
    if (there == 0 || (there == 1 && sp_same(value, SP("null")))) return true;
    if (there < 0 || (!sp_same(value, SP("true")) && !sp_same(value, SP("false")))) return false;
    *truth = value.len == 4;
    return true;
}

/* ----------------------------------------------------------------- exports */

/* Runs a handler on a frame in. */
SP_FN sp_answer sp_answer_frame(sp_text frame, sp_handler handler) {
    sp_call call;
    sp_memory.used = sp_memory.input;
    if (!sp_split(frame, &call.meta, &call.payload)) return sp_fail(SP_INTERNAL, SP("the host sent a frame that is none of ABI v1"));
    sp_answer answer = handler(&call);
    return answer.len < 8 ? sp_out_of_memory() : answer;
}

/* The input buffer, at the start of the range: growing it moves nothing. */
SP_FN uint8_t *sp_input(uint32_t size) {
    if (size == 0 || size > SP_MAX_INPUT || !sp_reach(size)) return NULL;
    if (size > sp_memory.input) sp_memory.input = size;
    return sp_base();
}

/* The tools of a plugin. */
typedef struct {
    const char *name;
    sp_handler run;
} sp_tool;

/* Finds the tool that is called. When the host does not tell, a plugin of one tool knows. */
SP_FN sp_answer sp_dispatch(const sp_call *call, const sp_tool *tools, uint32_t n) {
    sp_text name;
    bool told = sp_get(call->meta, "tool", &name);
    for (uint32_t i = 0; i < n; i++)
        if (told ? sp_same(name, sp_z(tools[i].name)) : n == 1) return tools[i].run(call);
    if (!told) return sp_fail(SP_INTERNAL, SP("the host does not say which tool is called: list `tool` under `context` in the manifest"));
    sp_buf b = sp_buffer();
    sp_put(&b, SP("there is no tool "));
    sp_put_json(&b, name);
    return sp_fail(SP_UNKNOWN_TOOL, sp_done(&b));
}

#ifdef __wasm__
#define SP_EXPORT(name) __attribute__((export_name(#name), visibility("default")))

#define SP_PLUGIN                                                                              \
    SP_EXPORT(sallyport_abi_v1) void sallyport_abi_v1(void) {}                                 \
    SP_EXPORT(sallyport_alloc) uint8_t *sallyport_alloc(uint32_t size) { return sp_input(size); }

#define SP_KIND(name, handler)                                                                 \
    SP_EXPORT(name) uint64_t name(const uint8_t *ptr, uint32_t len) {                          \
        if (ptr != sp_base() || len > sp_memory.input) return 0;                               \
        sp_answer answer = sp_answer_frame((sp_text){ptr, len}, handler);                      \
        return (uint64_t)(uintptr_t)answer.at << 32 | answer.len;                              \
    }
#else
#define SP_PLUGIN
#define SP_KIND(name, handler) sp_answer name(sp_text frame) { return sp_answer_frame(frame, handler); }
#endif

/* What a plugin has: SP_PLUGIN once, and each of the others at most once. */
#define SP_TOOL_CALL(handler) SP_KIND(sallyport_tool_call, handler)
#define SP_TOOLS_LIST(handler) SP_KIND(sallyport_tools_list, handler)
#define SP_RESPONSE_TRANSFORM(handler) SP_KIND(sallyport_response_transform, handler)
#define SP_REQUEST_TRANSFORM(handler) SP_KIND(sallyport_request_transform, handler)
#define SP_AUTHORIZE(handler) SP_KIND(sallyport_authorize, handler)
#define SP_CONFIGURE(handler) SP_KIND(sallyport_configure, handler)

/* SP_TOOLS({"greet", greet}, {"shout", shout}) */
#define SP_TOOLS(...)                                                                          \
    static const sp_tool sp_tools[] = {__VA_ARGS__};                                           \
    static sp_answer sp_any_tool(const sp_call *call) {                                        \
        return sp_dispatch(call, sp_tools, sizeof sp_tools / sizeof *sp_tools);                \
    }                                                                                          \
    SP_TOOL_CALL(sp_any_tool)

#endif
