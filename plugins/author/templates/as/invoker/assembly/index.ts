// A plugin with one tool, which counts what is in a text.
import { Answer, tool } from "./sallyport";
export { sallyport_abi_v1, sallyport_alloc, sallyport_tool_call } from "./sallyport/exports";

tool("@BASE@.count", (ctx, args) => {
  const text = args.get("text").string(); // what is missing is answered for us: "text is missing"
  let characters = 0, words = 0, lines = 0, inside = false;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if ((c & 0xfc00) != 0xdc00) characters++; // the second half of a pair is no character
    const space = c == 0x20 || (c >= 0x09 && c <= 0x0d);
    if (!space && !inside) words++;
    inside = !space;
    if (c == 0x0a || i == text.length - 1) lines++;
  }
  return Answer.text(`${characters} characters, ${words} words, ${lines} lines`);
});
