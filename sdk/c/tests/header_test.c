/* Tests of sallyport.h that run natively:
 *
 *     cc -std=c11 -Wall -Wextra -Werror -fsanitize=address,undefined header_test.c && ./a.out
 */
#include "../sallyport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failures;

#define CHECK(what)                                                            \
    do {                                                                       \
        if (!(what)) {                                                         \
            printf("%s:%d: %s\n", __FILE__, __LINE__, #what);                  \
            failures++;                                                        \
        }                                                                      \
    } while (0)

#define IS(text, want) CHECK(is(text, want))

static bool is(sp_text text, const char *want) {
    if (sp_same(text, sp_z(want))) return true;
    printf("got \"%.*s\"\n", (int)text.len, text.at == NULL ? "" : (const char *)text.at);
    return false;
}

/* ---- the host: what the test says it is ---- */

static uint8_t slot[2000];
static uint32_t slot_len;
static int64_t code;       /* of every host function, when it is below 0 */
static int32_t at_most;    /* bytes that one read gives */
static char logged[200];

void sp_import_log(uint32_t level, const uint8_t *ptr, uint32_t len) {
    snprintf(logged, sizeof logged, "%u %.*s", level, (int)len, (const char *)ptr);
}

int32_t sp_import_read(uint8_t *dst, uint32_t off, uint32_t cap) {
    if (off >= slot_len) return 0;
    uint32_t n = slot_len - off < cap ? slot_len - off : cap;
    if (n > (uint32_t)at_most) n = (uint32_t)at_most;
    memcpy(dst, slot + off, n);
    return (int32_t)n;
}

static int64_t give(uint8_t *dst, uint32_t cap) {
    if (code < 0) return code;
    if (slot_len <= cap) memcpy(dst, slot, slot_len);
    return slot_len;
}

int64_t sp_import_config(const uint8_t *k, uint32_t n, uint8_t *dst, uint32_t cap) {
    (void)k, (void)n;
    return give(dst, cap);
}

int64_t sp_import_kv_get(const uint8_t *k, uint32_t n, uint8_t *dst, uint32_t cap) {
    (void)k, (void)n;
    return give(dst, cap);
}

int64_t sp_import_http(const uint8_t *ptr, uint32_t len) {
    sp_pairs pairs;
    sp_text body, value;
    CHECK(sp_split((sp_text){ptr, len}, &pairs, &body));
    CHECK(sp_get(pairs, ":url", &value));
    IS(value, "https://api.example/");
    CHECK(sp_get(pairs, "accept", &value));
    IS(body, "body");
    return code < 0 ? code : slot_len;
}

/* ---- frames ---- */

/* A copy of its own size, so that the sanitizer sees a read past the end. */
static bool split_copy(const void *frame, size_t len, sp_text *payload, bool out) {
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, frame, len);
    sp_pairs pairs;
    uint32_t status;
    sp_text text = {copy, (uint32_t)len}, key, value;
    bool ok = out ? sp_split_out(text, &status, &pairs, payload) : sp_split(text, &pairs, payload);
    while (ok && sp_next(&pairs, &key, &value)) CHECK(value.at + value.len <= copy + len);
    free(copy);
    return ok;
}

static void frames(void) {
    /* The two frames that ABI.md spells out. */
    sp_memory.used = 0;
    sp_writer w = sp_begin_in();
    sp_pair(&w, SP("tool"), SP("greet"));
    sp_text frame = sp_end(&w, SP("{\"name\":\"Ada\"}"));
    CHECK(frame.len == 35 && memcmp(frame.at, "\1\0\0\0\4\0\0\0tool\5\0\0\0greet{\"name\":\"Ada\"}", 35) == 0);
    frame = sp_say(SP("Hello, Ada!"));
    CHECK(frame.len == 41 && memcmp(frame.at, "\0\0\0\0\1\0\0\0\4\0\0\0mime\12\0\0\0text/plainHello, Ada!", 41) == 0);
    CHECK(sp_unchanged().len == 8 && sp_unchanged().at[0] == 1);

    /* Every prefix of a frame, and every frame with one length made absurd. */
    sp_text payload;
    w = sp_begin_in();
    for (int n = 0; n < 3; n++) sp_pair(&w, SP("key"), SP(""));
    frame = sp_end(&w, SP(""));
    for (uint32_t n = 0; n < frame.len; n++) CHECK(!split_copy(frame.at, n, &payload, false));
    CHECK(split_copy(frame.at, frame.len, &payload, false) && payload.len == 0);
    for (uint32_t at = 0; at + 4 <= frame.len; at++) {
        uint8_t bad[64];
        memcpy(bad, frame.at, frame.len);
        memset(bad + at, 0xff, 4);
        split_copy(bad, frame.len, &payload, false);
        if (at == 0 || at == 4 || at == 11) CHECK(!split_copy(bad, frame.len, &payload, false));
    }
    /* Whatever the bytes are, nothing outside is read. */
    uint32_t seed = 1;
    for (int n = 0; n < 20000; n++) {
        uint8_t noise[48];
        for (size_t i = 0; i < sizeof noise; i++) {
            seed = seed * 1664525 + 1013904223;
            noise[i] = (seed >> 24) > 60 ? 0 : (uint8_t)(seed >> 16) % 6;
        }
        split_copy(noise, seed % sizeof noise, &payload, n % 2 == 0);
    }
    CHECK(!split_copy("\0\0\1\0\0\0\0\0", 8, &payload, true)); /* reserved */
    CHECK(!split_copy("\101\0\0\0", 4, &payload, false));      /* 65 pairs */

    /* 64 pairs and no more; the first of a key counts. */
    w = sp_begin_out(418);
    for (int n = 0; n < 70; n++) {
        char value[8];
        snprintf(value, sizeof value, "%d", n);
        sp_pair(&w, SP("k"), sp_z(value));
    }
    frame = sp_end(&w, SP("end"));
    uint32_t status;
    sp_pairs pairs;
    sp_text value;
    CHECK(sp_split_out(frame, &status, &pairs, &payload) && status == 418 && pairs.n == 64);
    CHECK(sp_get(pairs, "k", &value));
    IS(value, "0");
    CHECK(!sp_get(pairs, "K", &value) && value.len == 0);
    IS(payload, "end");
}

/* ---- JSON ---- */

static bool valid(const char *json) { return sp_json_valid(sp_z(json)); }

static void json(void) {
    static const char *good[] = {"{}", "[]", " [1, -0.5e+3 ,\"\\u00e9\\n\",true,false,null,{\"a\":{}}] ", "0", "\"\"", "1E2"};
    static const char *bad[] = {"",    " ",     "{",       "[1,]",  "{\"a\"}", "{\"a\":}", "{a:1}", "01",      "1.",   ".5",
                                "+1",  "1e",    "\"\\x\"", "\"\\u12\"", "\"a", "tru",      "[1 2]", "{} {}",   "\"\n\"", "[}",
                                "-",   "--1",   "{\"a\":1,}", "nul", "\"\\"};
    for (size_t n = 0; n < sizeof good / sizeof *good; n++) CHECK(valid(good[n]));
    for (size_t n = 0; n < sizeof bad / sizeof *bad; n++)
        if (valid(bad[n])) printf("taken: %s\n", bad[n]), failures++;
    char deep[200] = "";
    for (int n = 0; n < 64; n++) strcat(deep, "[");
    for (int n = 0; n < 64; n++) strcat(deep, "]");
    CHECK(valid(deep));
    memmove(deep + 1, deep, strlen(deep) + 1);
    strcat(deep, "]");
    CHECK(!valid(deep));

    sp_text text;
    CHECK(sp_json_string(SP("\"a\\u0041\\u00e9\\ud83d\\ude00\\n\\\"\\\\\\/\\ud800x\""), &text));
    IS(text, "aAé😀\n\"\\/\xef\xbf\xbdx");
    CHECK(!sp_json_string(SP("3"), &text) && !sp_json_string(SP("\"a\" "), &text));

    static const struct {
        const char *text;
        int64_t want;
    } whole[] = {{"0", 0}, {"-7", -7}, {"3.0", 3}, {"3e2", 300}, {"1.50e1", 15}, {"120e-1", 12}, {"-0", 0}, {"0e99999", 0},
                 {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}};
    static const char *fraction[] = {"1.5", "1e-1", "9223372036854775808", "1e19", "1e99999", "-9223372036854775809", "\"3\"", "true", "", "99999999999999999999"};
    int64_t number;
    for (size_t n = 0; n < sizeof whole / sizeof *whole; n++) CHECK(sp_json_i64(sp_z(whole[n].text), &number) && number == whole[n].want);
    for (size_t n = 0; n < sizeof fraction / sizeof *fraction; n++) CHECK(!sp_json_i64(sp_z(fraction[n]), &number));

    sp_text object = SP(" {\"x\":{\"a\":0}, \"\\u0061\" : [1,\"b,]\", {}] ,\"A\":2}"), value, element;
    CHECK(sp_json_member(object, "a", &value) == 1);
    IS(value, "[1,\"b,]\", {}]");
    CHECK(sp_json_member(object, "A", &value) == 1 && sp_json_member(object, "b", &value) == 0);
    CHECK(sp_json_member(SP("[]"), "a", &value) == -1 && sp_json_member(SP(""), "a", &value) == 0 && sp_json_member(SP("{"), "a", &value) == -1);
    sp_json_member(object, "a", &value);
    static const char *elements[] = {"1", "\"b,]\"", "{}"};
    int n = 0;
    for (sp_text rest = value; sp_json_next(&rest, &element); n++) IS(element, elements[n]);
    CHECK(n == 3);
    sp_text none = SP("[ ]");
    CHECK(!sp_json_next(&none, &element));

    sp_buf b = sp_buffer();
    sp_put_json(&b, SP("a\"b\\\n\x01ü"));
    sp_put_i64(&b, INT64_MIN);
    IS(sp_done(&b), "\"a\\\"b\\\\\\n\\u0001ü\"-9223372036854775808");
}

/* ---- handlers ---- */

static sp_answer ask(const sp_call *call) {
    sp_writer r = sp_request(SP("GET"), SP("https://api.example/"));
    sp_pair(&r, SP("accept"), SP("text/plain"));
    sp_reply reply;
    int64_t failed = sp_http(&r, SP("body"), &reply);
    if (failed < 0) return sp_host_failed("http", failed);
    sp_log(SP_WARN, sp_meta(call, "tenant"));
    return sp_say(reply.body);
}

static sp_answer one(const sp_call *call) {
    (void)call;
    return sp_ok();
}

SP_PLUGIN
SP_TOOLS({"ask", ask}, {"one", one})

static sp_answer run(const char *tool, uint32_t *status, sp_text *payload) {
    sp_memory.used = 0;
    sp_writer w = sp_begin_in();
    if (tool != NULL) sp_pair(&w, SP("tool"), sp_z(tool));
    sp_pair(&w, SP("tenant"), SP("acme"));
    sp_text frame = sp_end(&w, SP("{}"));
    uint8_t *in = malloc(frame.len); /* not in the arena, which the call empties */
    memcpy(in, frame.at, frame.len);
    sp_answer answer = sallyport_tool_call((sp_text){in, frame.len});
    sp_pairs pairs;
    CHECK(sp_split_out(answer, status, &pairs, payload));
    free(in);
    return answer;
}

static void handlers(void) {
    uint32_t status;
    sp_text payload;
    sp_writer w = sp_begin_out(200);
    char body[1500];
    memset(body, 'x', sizeof body);
    sp_text frame = sp_end(&w, (sp_text){(uint8_t *)body, sizeof body});
    memcpy(slot, frame.at, slot_len = frame.len);
    at_most = 7; /* the slot comes in small pieces */
    run("ask", &status, &payload);
    CHECK(status == SP_OK && payload.len == sizeof body && strcmp(logged, "2 acme") == 0);
    static const char *names[] = {"denied", "not found", "invalid argument", "too large", "timed out", "unavailable", "quota used up", "version conflict", "unavailable"};
    for (code = -1; code >= -9; code--) {
        run("ask", &status, &payload);
        char want[64];
        snprintf(want, sizeof want, "http: %s", names[-code - 1]);
        CHECK(status == SP_TOOL_ERROR);
        IS(payload, want);
    }
    code = 0;
    slot_len = 5; /* a broken frame */
    run("ask", &status, &payload);
    CHECK(status == SP_TOOL_ERROR);
    run("two", &status, &payload);
    CHECK(status == SP_UNKNOWN_TOOL);
    IS(payload, "there is no tool \"two\"");
    run(NULL, &status, &payload);
    CHECK(status == SP_INTERNAL);
    sp_answer broken = sallyport_tool_call(SP("\1\0\0\0"));
    CHECK(broken.len > 8 && broken.at[0] == SP_INTERNAL);

    /* Results at the edge of the small buffer. */
    for (slot_len = SP_SMALL - 2; slot_len <= SP_SMALL + 2; slot_len++) {
        sp_text value;
        uint64_t version;
        memset(slot, 'y', sizeof slot);
        memcpy(slot, "\1\2\3\4\5\6\7\10", 8);
        CHECK(sp_config(SP("k"), &value) == slot_len && value.len == slot_len && memcmp(value.at, slot, slot_len) == 0);
        CHECK(sp_kv_get(SP("k"), &value, &version) == 0 && version == 0x0807060504030201 && value.len == slot_len - 8);
    }
    at_most = 0; /* a slot that ends early */
    sp_text value;
    CHECK(sp_config(SP("k"), &value) == SP_ERR_INVALID && value.len == 0);
}

/* Memory ends: the answer says so, and the next call works. */
static void memory(void) {
    sp_memory.used = 0;
    sp_buf b = sp_buffer();
    while (!b.full) sp_put(&b, SP("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"));
    CHECK(sp_done(&b).len == 0);
    sp_memory.used = SP_NATIVE_MEMORY;
    sp_answer answer = sp_say(SP("text"));
    CHECK(answer.len > 8 && answer.at[0] == SP_INTERNAL);
    CHECK(sp_alloc(1) == NULL);
    uint32_t status;
    sp_text payload;
    run("one", &status, &payload);
    CHECK(status == SP_OK && payload.len == 0);

    CHECK(sp_input(0) == NULL && sp_input(UINT32_MAX) == NULL && sp_input(SP_NATIVE_MEMORY + 1) == NULL);
    uint8_t *input = sp_input(65536);
    CHECK(input != NULL && sp_input(1 << 20) == input && sp_memory.input == 1 << 20);
    CHECK(sp_input(100) == input && sp_memory.input == 1 << 20);
    memset(input, 'i', 1 << 20);
    sp_answer_frame(SP("\0\0\0\0"), one);
    memset(sp_alloc(100), 'o', 100);
    for (int n = 0; n < 1 << 20; n++)
        if (input[n] != 'i') {
            CHECK(!"the input buffer was written to");
            break;
        }
    /* A buffer grows where it is, and moves when something lies behind it. */
    sp_answer_frame(SP("\0\0\0\0"), one);
    sp_buf first = sp_buffer();
    sp_put(&first, SP("first"));
    const uint8_t *was = first.at;
    sp_room(&first, 10000);
    CHECK(first.at == was);
    CHECK(sp_alloc(1) != NULL);
    sp_room(&first, 30000);
    CHECK(first.at != was);
    IS(sp_done(&first), "first");
}

int main(void) {
    frames();
    json();
    handlers();
    memory();
    if (failures == 0) puts("ok");
    return failures != 0;
}
