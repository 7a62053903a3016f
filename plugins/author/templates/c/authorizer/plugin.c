/* A plugin that lets only admins call tools that delete something. It is asked about calls
 * that the gateway's own rules allow, and can only narrow. */
#include "sallyport.h"

/* Whether a list with commas has this role. */
static bool has(sp_text roles, sp_text role) {
    for (uint32_t from = 0, n = 0; n <= roles.len; n++) {
        if (n < roles.len && roles.at[n] != ',') continue;
        if (sp_same((sp_text){roles.at + from, n - from}, role)) return true;
        from = n + 1;
    }
    return false;
}

static sp_answer authorize(const sp_call *call) {
    sp_text tool = sp_meta(call, "tool");
    if (sp_find(tool, SP("delete")) < 0 || has(sp_meta(call, "principal.roles"), SP("admin"))) return sp_ok();
    sp_buf said = sp_buffer();
    sp_put(&said, tool);
    sp_put(&said, SP(" is for admins only"));
    return sp_fail(SP_DENIED, sp_done(&said));
}

SP_PLUGIN
SP_AUTHORIZE(authorize)
