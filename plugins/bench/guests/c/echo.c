/* The guest of the measurements in C, on sdk/c: echo gives back what it gets, text
 * as a block of text. */
#include "../../../../sdk/c/sallyport.h"

static sp_answer echo(const sp_call *call) { return sp_json(call->payload); }

static sp_answer text(const sp_call *call) { return sp_say(call->payload); }

SP_PLUGIN
SP_TOOLS({"echo", echo}, {"text", text})
