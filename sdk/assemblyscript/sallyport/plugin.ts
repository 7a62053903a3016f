import { Answer } from "./answer";
import { Args } from "./args";
import { Context } from "./context";
import { Json, Kind } from "./json";
import { Result } from "./result";

/** Runs a tool, looks at or changes arguments, or takes the configuration. */
export type Handler = (ctx: Context, args: Args) => Answer;

/** Looks at or changes what a tool answered. */
export type ResponseHandler = (ctx: Context, result: Result) => Answer;

/** Lists tools. */
export type ListHandler = (ctx: Context) => Answer;

/** One tool as tools/list shows it, and what runs it. */
@final
export class Tool {
  private told: Json;

  constructor(readonly name: string, readonly run: Handler) {
    this.told = Json.object().set("name", Json.string(name)).set("inputSchema", Json.object().set("type", Json.string("object")));
  }

  /** The name for people. */
  title(s: string): Tool {
    this.told.set("title", Json.string(s));
    return this;
  }

  /** Tells the model what the tool does. */
  description(s: string): Tool {
    this.told.set("description", Json.string(s));
    return this;
  }

  /** The JSON Schema of the arguments, in JSON. */
  inputSchema(schema: string): Tool {
    return this.member("inputSchema", schema);
  }

  /** The JSON Schema of structured content, in JSON. */
  outputSchema(schema: string): Tool {
    return this.member("outputSchema", schema);
  }

  /** MCP's tool annotations, in JSON. */
  annotations(object: string): Tool {
    return this.member("annotations", object);
  }

  /** Says that the tool changes nothing. */
  readOnly(): Tool {
    return this.annotations("{\"readOnlyHint\":true}");
  }

  private member(name: string, text: string): Tool {
    const v = Json.parseText(text);
    if (!v) throw new Error("tool " + this.name + ": " + name + " " + Json.problem);
    if (v.kind != Kind.Object) throw new Error("tool " + this.name + ": " + name + " must be an object");
    this.told.set(name, v);
    return this;
  }

  /** The tool as tools/list shows it. */
  get json(): Json {
    return this.told;
  }
}

// What the plugin registered.
export const tools: Array<Tool> = [];
export let anyToolHandler: Handler | null = null;
export let configureHandler: Handler | null = null;
export let requestHandler: Handler | null = null;
export let authorizeHandler: Handler | null = null;
export let responseHandler: ResponseHandler | null = null;
export let listHandler: ListHandler | null = null;

/** Registers a tool. Its name must be new. */
export function tool(name: string, run: Handler): Tool {
  if (name.length == 0) throw new Error("a tool needs a name");
  for (let i = 0; i < tools.length; i++) {
    if (tools[i].name == name) throw new Error("tool " + name + " is registered twice");
  }
  const t = new Tool(name, run);
  tools.push(t);
  return t;
}

/** Registers what runs the tools that no `tool` names: `Context.tool` says which one is called. */
export function anyTool(run: Handler): void {
  if (anyToolHandler) throw new Error("anyTool is registered twice");
  anyToolHandler = run;
}

/** Registers what lists the tools: `Answer.json({"tools": […]})`. Without it the list is that of `tool`. */
export function toolsList(list: ListHandler): void {
  if (listHandler) throw new Error("toolsList is registered twice");
  listHandler = list;
}

/** Registers what takes the plugin's configuration, once in each instance. Any answer but `Answer.ok()` refuses it. */
export function configure(take: Handler): void {
  if (configureHandler) throw new Error("configure is registered twice");
  configureHandler = take;
}

/** Registers what rewrites the arguments of tools: `Answer.json(args.json)`, `Answer.unchanged()`, or a refusal. */
export function requestTransform(change: Handler): void {
  if (requestHandler) throw new Error("requestTransform is registered twice");
  requestHandler = change;
}

/** Registers what rewrites the results of tools: `Answer.result(result)` or `Answer.unchanged()`. */
export function responseTransform(change: ResponseHandler): void {
  if (responseHandler) throw new Error("responseTransform is registered twice");
  responseHandler = change;
}

/** Registers what may refuse a call that the gateway's own rules allow: `Answer.ok()` or `Answer.denied(…)`. */
export function authorize(judge: Handler): void {
  if (authorizeHandler) throw new Error("authorize is registered twice");
  authorizeHandler = judge;
}
