// A plugin that lets only admins call tools that delete something. It is asked about calls
// that the gateway's own rules allow, and can only narrow.
import { Answer, authorize } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_authorize } from "./sallyport/exports";

authorize((ctx, args) => {
  if (ctx.tool.includes("delete") && !ctx.roles.includes("admin")) {
    return Answer.denied(ctx.tool + " is for admins only");
  }
  return Answer.ok();
});
