// What a plugin imports: `import { Answer, tool } from "./sallyport";`.
export { Answer, Status } from "./answer";
export { Args } from "./args";
export { Bytes } from "./bytes";
export { Context, Level, now, random } from "./context";
export { Json, Kind } from "./json";
export { Called, Code, Keys, Outcome, Request, Response, Stored, Value } from "./outcome";
export { Handler, ListHandler, ResponseHandler, Tool, anyTool, authorize, configure, requestTransform, responseTransform, tool, toolsList } from "./plugin";
export { Result } from "./result";
