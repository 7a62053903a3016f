/* A tool that makes of a title what fits into an address: "Crème brûlée, twice!" becomes
 * "creme-brulee-twice". The operator may set how long a slug gets at most. */
#include "../../sallyport.h"

enum { MOST = 200 };

static int64_t most = 60; /* the configuration is the operator's, so a variable may hold it */

static sp_answer configure(const sp_call *call) {
    int64_t wanted = most;
    if (!sp_opt_i64(call, "max_length", &wanted) || wanted < 1 || wanted > MOST)
        return sp_wrong("max_length", "a whole number from 1 to 200");
    most = wanted;
    return sp_ok();
}

/* Letters of Latin-1 and Latin Extended-A, U+00C0 to U+017F, as plain ones; a blank is
 * none. */
static const char letters[] =
    "aaaaaaaceeeeiiiidnooooo ouuuuypsaaaaaaaceeeeiiiidnooooo ouuuuypy"
    "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiiiiijjkkkllllllllllnnnnnnnnnoooooooorrrrrrssssssssttttttuuuuuuuuuuuuwwyyyzzzzzzs";

/* Takes one character off; 0 for what a slug has not. */
static uint8_t plain(sp_text *text) {
    uint8_t c = *text->at;
    uint32_t size = 1;
    if (c >= 'A' && c <= 'Z') {
        c = (uint8_t)(c - 'A' + 'a');
    } else if (c >= 0xc3 && c <= 0xc5 && text->len > 1) {
        c = (uint8_t)letters[(c - 0xc3) * 64 + (text->at[1] & 63)];
        size = 2;
    }
    *text = (sp_text){text->at + size, text->len - size};
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : 0;
}

static sp_answer slug(const sp_call *call) {
    sp_text title;
    if (!sp_arg_string(call, "title", &title)) return sp_wrong("title", "a string");
    sp_buf out = sp_buffer();
    bool gap = false;
    while (title.len > 0) {
        uint8_t c = plain(&title);
        if (c == 0) {
            gap = out.len > 0;
            continue;
        }
        if (out.len + (gap ? 2 : 1) > most) break;
        if (gap) sp_put_byte(&out, '-');
        sp_put_byte(&out, c);
        gap = false;
    }
    if (out.len == 0) return sp_fail(SP_INVALID_ARGS, SP("title must have a Latin letter or a digit"));
    return sp_say(sp_done(&out));
}

SP_PLUGIN
SP_TOOLS({"slug", slug})
SP_CONFIGURE(configure)
