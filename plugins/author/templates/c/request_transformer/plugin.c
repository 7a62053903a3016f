/* A plugin that takes card numbers out of the arguments of all tools that it stands before:
 * what does not arrive cannot leak. Digits are never escaped in JSON, so the text is changed
 * as it stands; numbers outside of texts stay. */
#include "sallyport.h"

static bool digit(uint8_t c) { return c >= '0' && c <= '9'; }

/* Whether digits are a card number: 13 to 19, with the check digit of Luhn. */
static bool card(sp_text digits) {
    if (digits.len < 13 || digits.len > 19) return false;
    uint32_t sum = 0;
    for (uint32_t n = 0; n < digits.len; n++) {
        uint32_t v = digits.at[digits.len - 1 - n] - '0';
        if (n % 2 == 1) v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return sum % 10 == 0;
}

static sp_answer transform(const sp_call *call) {
    sp_text json = call->payload;
    sp_buf out = sp_buffer();
    uint32_t done = 0;
    bool inside = false; /* a text */
    for (uint32_t n = 0; n < json.len; n++) {
        uint8_t c = json.at[n];
        if (c == '\\' && inside) {
            n += n + 1 < json.len && json.at[n + 1] == 'u' ? 5 : 1; /* its digits are none of a number */
        } else if (c == '"') {
            inside = !inside;
        } else if (inside && digit(c)) {
            uint32_t end = n;
            while (end < json.len && digit(json.at[end])) end++;
            if (card((sp_text){json.at + n, end - n})) {
                sp_put(&out, (sp_text){json.at + done, n - done});
                sp_put(&out, SP("****"));
                done = end - 4;
            }
            n = end - 1;
        }
    }
    if (done == 0) return sp_unchanged();
    sp_put(&out, (sp_text){json.at + done, json.len - done});
    return out.full ? sp_out_of_memory() : sp_json(sp_done(&out));
}

SP_PLUGIN
SP_REQUEST_TRANSFORM(transform)
