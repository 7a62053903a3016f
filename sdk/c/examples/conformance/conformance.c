/* The guest that sdk/conformance describes, on the header of this folder. */
#include "../../sallyport.h"

static uint32_t count;
static uint8_t greeting[256] = "hello";
static uint32_t greeting_len = 5;

/* Cuts the text up to the first separator off; all of it when there is none. */
static sp_text cut(sp_text *rest, sp_text separator) {
    int64_t n = sp_find(*rest, separator);
    sp_text head = {rest->at, n < 0 ? rest->len : (uint32_t)n};
    uint32_t gone = n < 0 ? rest->len : (uint32_t)n + separator.len;
    *rest = (sp_text){rest->at + gone, rest->len - gone};
    return head;
}

/* Replaces every `from`; NULL `at` when there is none. */
static sp_text replace(sp_text text, sp_text from, sp_text to) {
    if (sp_find(text, from) < 0) return (sp_text){NULL, 0};
    sp_buf b = sp_buffer();
    for (int64_t n; (n = sp_find(text, from)) >= 0;) {
        sp_put(&b, (sp_text){text.at, (uint32_t)n});
        sp_put(&b, to);
        text = (sp_text){text.at + n + from.len, text.len - (uint32_t)n - from.len};
    }
    sp_put(&b, text);
    return sp_done(&b);
}

static sp_answer echo(const sp_call *call) { return sp_json(call->payload); }

static sp_answer upper(const sp_call *call) {
    sp_buf b = sp_buffer();
    for (uint32_t n = 0; n < call->payload.len; n++) {
        uint8_t c = call->payload.at[n];
        sp_put_byte(&b, c >= 'a' && c <= 'z' ? (uint8_t)(c - 'a' + 'A') : c);
    }
    return sp_say(sp_done(&b));
}

static sp_answer text(const sp_call *call) { return sp_say_as(SP("text/markdown"), call->payload); }

static sp_answer empty(const sp_call *call) {
    (void)call;
    return sp_say(SP(""));
}

static sp_answer fail(const sp_call *call) {
    static const struct {
        const char *word;
        uint32_t status;
    } words[] = {
        {"invalid_args", SP_INVALID_ARGS}, {"unknown_tool", SP_UNKNOWN_TOOL}, {"denied", SP_DENIED},
        {"unavailable", SP_UNAVAILABLE},   {"internal", SP_INTERNAL},
    };
    sp_buf b = sp_buffer();
    sp_put(&b, SP("fail: "));
    sp_put(&b, call->payload);
    uint32_t status = SP_TOOL_ERROR;
    for (uint32_t n = 0; n < sizeof words / sizeof *words; n++)
        if (sp_same(call->payload, sp_z(words[n].word))) status = words[n].status;
    return status == SP_UNAVAILABLE ? sp_unavailable(sp_done(&b), 1500) : sp_fail(status, sp_done(&b));
}

static sp_answer panics(const sp_call *call) {
    (void)call;
    sp_panic(SP("boom: the inside of the plugin"));
}

static sp_answer meta(const sp_call *call) {
    static const char *keys[] = {"tool",          "server",          "call_id",     "session",    "tenant",
                                 "principal.sub", "principal.roles", "traceparent", "deadline_ms"};
    sp_buf b = sp_buffer();
    for (uint32_t n = 0; n < sizeof keys / sizeof *keys; n++) {
        if (n > 0) sp_put_byte(&b, '\n');
        sp_put(&b, sp_z(keys[n]));
        sp_put_byte(&b, '=');
        sp_put(&b, sp_meta(call, keys[n]));
    }
    return sp_say(sp_done(&b));
}

static sp_answer pair(const sp_call *call) {
    sp_pairs pairs = call->meta;
    sp_text key, value;
    while (sp_next(&pairs, &key, &value))
        if (sp_same(key, call->payload)) return sp_say(value);
    return sp_say(SP(""));
}

static sp_answer big(const sp_call *call) {
    int64_t n;
    if (!sp_json_i64(call->payload, &n) || n < 0 || n > SP_MAX_FRAME) return sp_wrong("the payload", "a number");
    sp_buf b = sp_buffer();
    if (!sp_room(&b, (uint32_t)n)) return sp_out_of_memory();
    for (int64_t i = 0; i < n; i++) sp_put_byte(&b, (uint8_t)('a' + i % 26));
    return sp_say(sp_done(&b));
}

static sp_answer say_number(uint64_t n) {
    sp_buf b = sp_buffer();
    sp_put_u64(&b, n);
    return sp_say(sp_done(&b));
}

static sp_answer length(const sp_call *call) { return say_number(call->payload.len); }

static sp_answer counted(const sp_call *call) {
    (void)call;
    return say_number(++count);
}

static sp_answer greet(const sp_call *call) {
    (void)call;
    return sp_say((sp_text){greeting, greeting_len});
}

static sp_answer typed(const sp_call *call) {
    sp_text city;
    int64_t days = 1;
    if (!sp_arg_string(call, "city", &city)) return sp_wrong("city", "a string");
    if (!sp_opt_i64(call, "days", &days)) return sp_wrong("days", "a whole number");
    sp_buf b = sp_buffer();
    sp_put(&b, city);
    sp_put_byte(&b, ' ');
    sp_put_i64(&b, days);
    return sp_say(sp_done(&b));
}

static sp_answer config(const sp_call *call) {
    sp_text value;
    int64_t code = sp_config(call->payload, &value);
    return code < 0 ? sp_host_failed("config", code) : sp_say(value);
}

static sp_answer secret(const sp_call *call) {
    sp_text value;
    int64_t code = sp_secret(call->payload, &value);
    return code < 0 ? sp_host_failed("secret", code) : sp_say(value);
}

static sp_answer logs(const sp_call *call) {
    (void)call;
    sp_log(SP_DEBUG, SP("a debug line"));
    sp_log(SP_INFO, SP("an info line"));
    sp_log(SP_WARN, SP("a warn line"));
    sp_log(SP_ERROR, SP("an error line"));
    return sp_say(SP("ok"));
}

static sp_answer metric(const sp_call *call) {
    (void)call;
    sp_metric(SP("calls"), SP_COUNTER, 1);
    sp_metric(SP("level"), SP_GAUGE, 0.5);
    sp_metric(SP("size"), SP_HISTOGRAM, 12);
    return sp_say(SP("ok"));
}

static sp_answer progress(const sp_call *call) {
    (void)call;
    sp_progress(1, 4, SP("a quarter"));
    sp_progress(2, 0, SP(""));
    return sp_say(SP("ok"));
}

static sp_answer http(const sp_call *call) {
    sp_text body = call->payload, head = cut(&body, SP("\n\n"));
    sp_text method = cut(&head, SP("\n")), url = cut(&head, SP("\n"));
    sp_writer request = sp_request(method, url);
    while (head.len > 0) {
        sp_text value = cut(&head, SP("\n")), name = cut(&value, SP(": "));
        sp_pair(&request, name, value);
    }
    sp_reply reply;
    int64_t code = sp_http(&request, body, &reply);
    if (code < 0) return sp_host_failed("http", code);
    sp_text type;
    sp_get(reply.pairs, "content-type", &type);
    sp_buf b = sp_buffer();
    sp_put_u64(&b, reply.status);
    sp_put_byte(&b, '\n');
    sp_put(&b, type);
    sp_put_byte(&b, '\n');
    sp_put(&b, reply.body);
    return sp_say(sp_done(&b));
}

static sp_answer call_tool(const sp_call *call) {
    sp_text arguments = call->payload, name = cut(&arguments, SP("\n"));
    sp_reply reply;
    int64_t code = sp_call_tool(name, arguments, &reply);
    if (code < 0) return sp_host_failed("call tool", code);
    if (reply.status == SP_OK || (reply.status == SP_TOOL_ERROR && reply.body.len > 0 && *reply.body.at == '{'))
        return sp_json(reply.body);
    if (reply.status != SP_TOOL_ERROR) return sp_fail(reply.status, reply.body);
    sp_buf b = sp_buffer();
    sp_put(&b, SP("{\"content\":[{\"type\":\"text\",\"text\":"));
    sp_put_json(&b, reply.body);
    sp_put(&b, SP("}],\"isError\":true}"));
    return sp_json(sp_done(&b));
}

static sp_answer list_keys(sp_text prefix) {
    sp_buf said = sp_buffer();
    sp_text after = SP(""), version;
    for (;;) {
        sp_pairs keys;
        int64_t code = sp_kv_list(prefix, after, &keys);
        if (code < 0) return sp_host_failed("kv list", code);
        if (keys.n == 0) return sp_say(sp_done(&said));
        while (sp_next(&keys, &after, &version)) {
            sp_put(&said, after);
            sp_put_byte(&said, '\n');
        }
    }
}

static sp_answer kv(const sp_call *call) {
    sp_text value = call->payload, what = cut(&value, SP("\n")), key = cut(&value, SP("\n")), old;
    uint64_t version = 0;
    int64_t code;
    if (sp_same(what, SP("list"))) return list_keys(key);
    if (sp_same(what, SP("get"))) {
        code = sp_kv_get(key, &old, &version);
        return code < 0 ? sp_host_failed("kv get", code) : sp_say(old);
    }
    if (sp_same(what, SP("set"))) {
        code = sp_kv_set(key, value, 0, -1);
    } else if (sp_same(what, SP("ttl"))) {
        code = sp_kv_set(key, value, 1000, -1);
    } else if (sp_same(what, SP("new"))) {
        code = sp_kv_set(key, value, 0, 0);
    } else if (sp_same(what, SP("delete"))) {
        code = sp_kv_delete(key, -1);
    } else if (sp_same(what, SP("swap")) || sp_same(what, SP("stale"))) {
        code = sp_kv_get(key, &old, &version);
        if (code >= 0 && sp_same(what, SP("stale"))) code = sp_kv_set(key, SP("other"), 0, -1);
        if (code >= 0) code = sp_kv_set(key, value, 0, (int64_t)version);
    } else {
        return sp_fail(SP_INVALID_ARGS, SP("there is no such thing to do"));
    }
    return code < 0 ? sp_host_failed("kv", code) : sp_say(SP("ok"));
}

static sp_answer list(const sp_call *call) {
    (void)call;
    return sp_json(SP("{\"tools\":[{\"name\":\"echo\",\"description\":\"Gives back what it gets.\",\"inputSchema\":{\"type\":\"object\"}},"
                      "{\"name\":\"typed\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
                      "\"days\":{\"type\":\"integer\"}},\"required\":[\"city\"]}}]}"));
}

static sp_answer hide(const sp_call *call) {
    if (sp_find(call->payload, SP("explode")) >= 0) return sp_fail(SP_INTERNAL, SP("it exploded"));
    sp_text changed = replace(call->payload, SP("hunter2"), SP("*******"));
    return changed.at == NULL ? sp_unchanged() : sp_json(changed);
}

static sp_answer respell(const sp_call *call) {
    if (sp_find(call->payload, SP("forbidden")) >= 0) return sp_fail(SP_DENIED, SP("a forbidden word"));
    if (sp_find(call->payload, SP("nonsense")) >= 0) return sp_fail(SP_INVALID_ARGS, SP("a word without sense"));
    sp_text changed = replace(call->payload, SP("colour"), SP("color"));
    return changed.at == NULL ? sp_unchanged() : sp_json(changed);
}

static sp_answer authorize(const sp_call *call) {
    sp_text who = sp_meta(call, "principal.sub");
    if (sp_same(who, SP("ada"))) return sp_ok();
    if (sp_same(who, SP("mallory"))) return sp_fail(SP_DENIED, SP("mallory may not"));
    return sp_fail(SP_DENIED, SP("who are you?"));
}

static sp_answer configure(const sp_call *call) {
    bool refuse = false;
    sp_text wanted = {greeting, greeting_len};
    if (!sp_opt_bool(call, "refuse", &refuse)) return sp_wrong("refuse", "a boolean");
    if (refuse) return sp_fail(SP_INVALID_ARGS, SP("refuse must not be set"));
    if (!sp_opt_string(call, "greeting", &wanted) || wanted.len > sizeof greeting)
        return sp_wrong("greeting", "a string of at most 256 bytes");
    sp_copy(greeting, wanted.at, wanted.len);
    greeting_len = wanted.len;
    sp_log(SP_DEBUG, SP("configured"));
    return sp_ok();
}

SP_PLUGIN
SP_TOOLS({"echo", echo}, {"upper", upper}, {"text", text}, {"empty", empty}, {"fail", fail}, {"panic", panics},
         {"meta", meta}, {"pair", pair}, {"big", big}, {"length", length}, {"count", counted}, {"greeting", greet},
         {"typed", typed}, {"config", config}, {"secret", secret}, {"log", logs}, {"metric", metric},
         {"progress", progress}, {"http", http}, {"call_tool", call_tool}, {"kv", kv})
SP_TOOLS_LIST(list)
SP_RESPONSE_TRANSFORM(hide)
SP_REQUEST_TRANSFORM(respell)
SP_AUTHORIZE(authorize)
SP_CONFIGURE(configure)
