/* A plugin that lists its tools when it runs: one for each conversion in a table. A real
 * one asks a service which tools there are. */
#include "sallyport.h"

static const struct {
    const char *name, *about;
    double factor, offset;
} conversions[] = {
    {"km_to_miles", "Converts kilometres to miles.", 0.621371, 0},
    {"kg_to_pounds", "Converts kilograms to pounds.", 2.204623, 0},
    {"celsius_to_fahrenheit", "Converts degrees Celsius to degrees Fahrenheit.", 1.8, 32},
};

enum { CONVERSIONS = sizeof conversions / sizeof conversions[0] };

static sp_answer list(const sp_call *call) {
    (void)call;
    sp_buf out = sp_buffer();
    sp_put(&out, SP("{\"tools\":["));
    for (int n = 0; n < CONVERSIONS; n++) {
        if (n > 0) sp_put_byte(&out, ',');
        sp_put(&out, SP("{\"name\":"));
        sp_put_json(&out, sp_z(conversions[n].name));
        sp_put(&out, SP(",\"description\":"));
        sp_put_json(&out, sp_z(conversions[n].about));
        sp_put(&out, SP(",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"value\":{\"type\":\"number\"}},\"required\":[\"value\"]}}"));
    }
    sp_put(&out, SP("]}"));
    return out.full ? sp_out_of_memory() : sp_json(sp_done(&out));
}

/* A JSON number without an exponent, of at most 15 digits. */
static bool number(sp_text json, double *value) {
    double v = 0, place = 0;
    uint32_t n = json.len > 0 && json.at[0] == '-' ? 1 : 0;
    if (n == json.len || json.len > 17) return false;
    for (; n < json.len; n++) {
        uint8_t c = json.at[n];
        if (c == '.') {
            place = 1;
        } else if (c >= '0' && c <= '9') {
            v = v * 10 + (c - '0');
            place *= 10;
        } else {
            return false;
        }
    }
    if (place > 0) v /= place;
    *value = json.at[0] == '-' ? -v : v;
    return true;
}

static sp_answer convert(const sp_call *call) {
    for (int n = 0; n < CONVERSIONS; n++) {
        if (!sp_same(sp_meta(call, "tool"), sp_z(conversions[n].name))) continue;
        sp_text json;
        double value;
        if (sp_json_member(call->payload, "value", &json) != 1 || !number(json, &value))
            return sp_wrong("value", "a number without an exponent, of at most 15 digits");
        value = value * conversions[n].factor + conversions[n].offset;
        uint64_t tenths = (uint64_t)((value < 0 ? -value : value) * 10 + 0.5);
        sp_buf out = sp_buffer();
        if (value < 0 && tenths > 0) sp_put_byte(&out, '-');
        sp_put_u64(&out, tenths / 10);
        sp_put_byte(&out, '.');
        sp_put_u64(&out, tenths % 10);
        return sp_say(sp_done(&out));
    }
    return sp_fail(SP_UNKNOWN_TOOL, SP("there is no such tool"));
}

SP_PLUGIN
SP_TOOL_CALL(convert)
SP_TOOLS_LIST(list)
