/* A plugin that masks e-mail addresses in the results of all tools that it stands behind.
 * An address has no character that JSON escapes, so the text is changed as it stands. */
#include "sallyport.h"

static bool alphanumeric(uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool local(uint8_t c) { return alphanumeric(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'; }

/* Where the domain that begins at `from` ends; `from` when it has no dot within. */
static uint32_t domain(sp_text json, uint32_t from) {
    uint32_t to = from, start = from;
    while (to < json.len && (alphanumeric(json.at[to]) || json.at[to] == '-' || json.at[to] == '.')) to++;
    while (to > from && (json.at[to - 1] == '-' || json.at[to - 1] == '.')) to--;
    while (start < to && json.at[start] == '.') start++;
    for (uint32_t n = start; n < to; n++)
        if (json.at[n] == '.') return to;
    return from;
}

static sp_answer transform(const sp_call *call) {
    sp_text json = call->payload;
    sp_buf out = sp_buffer();
    uint32_t done = 0, word = 0; /* word: where the characters before this one begin that an address may have */
    for (uint32_t n = 0; n < json.len; n++) {
        uint8_t c = json.at[n];
        if (c == '\\') { /* an escape is no part of an address */
            n += n + 1 < json.len && json.at[n + 1] == 'u' ? 5 : 1;
            word = n + 1;
        } else if (c == '@' && word < n && domain(json, n + 1) > n + 1) {
            sp_put(&out, (sp_text){json.at + done, word - done});
            sp_put(&out, SP("[e-mail]"));
            done = domain(json, n + 1);
            word = done;
            n = done - 1;
        } else if (!local(c)) {
            word = n + 1;
        }
    }
    if (done == 0) return sp_unchanged();
    sp_put(&out, (sp_text){json.at + done, json.len - done});
    return out.full ? sp_out_of_memory() : sp_json(sp_done(&out));
}

SP_PLUGIN
SP_RESPONSE_TRANSFORM(transform)
