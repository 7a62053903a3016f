/* A plugin with one tool, which counts what is in a text. */
#include "sallyport.h"

static sp_answer count(const sp_call *call) {
    sp_text text;
    if (!sp_arg_string(call, "text", &text)) return sp_wrong("text", "a string");
    uint64_t characters = 0, words = 0, lines = 0;
    bool inside = false;
    for (uint32_t n = 0; n < text.len; n++) {
        uint8_t c = text.at[n];
        if ((c & 0xc0) != 0x80) characters++; /* what follows in UTF-8 is no character */
        bool space = c == ' ' || (c >= '\t' && c <= '\r');
        if (!space && !inside) words++;
        inside = !space;
        if (c == '\n' || n == text.len - 1) lines++;
    }
    sp_buf said = sp_buffer();
    sp_put_u64(&said, characters);
    sp_put(&said, SP(" characters, "));
    sp_put_u64(&said, words);
    sp_put(&said, SP(" words, "));
    sp_put_u64(&said, lines);
    sp_put(&said, SP(" lines"));
    return sp_say(sp_done(&said));
}

SP_PLUGIN
SP_TOOLS({"@BASE@.count", count})
