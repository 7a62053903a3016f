package config

import "github.com/sallyport/sallyport/core"

var prompt = describe[core.PromptConfig]("prompt", "One prompt: messages with places for arguments, or an invoker that makes them.",
	map[string]string{"text": "write messages: [{role: user, text: …}]", "template": "write messages: [{role: user, text: …}]", "meta": "write _meta"},
	must("name", line(), "What clients ask for. Unique in its server.").such("recommend"),
	may("title", line(), "A name for people.").such("Recommend a book"),
	may("description", prose(), "What the prompt is for."),
	may("icons", many(icon), iconsAbout),
	metadata(),
	may("arguments", many(argument), "What people are asked before the prompt is made."),
	may("messages", atLeastOne(message), "The messages. `{{name}}` in them is the argument of that name, put in as it is."),
	may("invoker", invoker, "What makes the messages, instead of `messages`."),
	timeout("the invoker"),
).one("messages", "invoker").like(`
name: recommend
title: Recommend a book
arguments:
  - name: genre
    description: What sort of book
    required: true
    values: [crime, poetry, science]
messages:
  - role: user
    text: Recommend a book of the genre {{genre}} and say why.
`)

func atLeastOne(of *shape) *shape {
	s := many(of)
	s.least = 1
	return s
}

var argument = describe[core.PromptArgumentConfig]("promptArgument", "One argument of a prompt.", map[string]string{"completions": "write values", "enum": "write values"},
	must("name", line(), "Its name, as in `{{name}}`.").such("genre"),
	may("title", line(), "A name for people."),
	may("description", prose(), "What to fill in."),
	may("required", onOff(), "Whether the prompt can be made without it.").otherwise("false"),
	may("values", many(line()), "What completion offers.").such("[crime, poetry, science]"),
)

var message = describe[core.MessageConfig]("message", "One message of a prompt: text, an image, audio, or an embedded resource.", map[string]string{"content": "write text, image, audio or resource"},
	must("role", words("user", "assistant"), "Who says it."),
	may("text", prose(), "Text with `{{name}}` places.").such("Recommend a book of the genre {{genre}}."),
	may("image", binary, "An image."),
	may("audio", binary, "A piece of audio."),
	may("resource", embedded, "A resource, put into the message."),
).one("text", "image", "audio", "resource").like(`
role: user
image: {file: cover.png}
`)

const base64Pattern = `^([A-Za-z0-9+/\s]*={0,2}\s*)$`

var binary = describe[core.BinaryConfig]("binary", "Bytes, from a file or in place.", map[string]string{"data": "write base64", "path": "write file", "url": "write file; nothing is fetched while a document is read"},
	may("file", line().named("write base64"), "A file under the directory of the document.").such("covers/1.png"),
	may("base64", matching(base64Pattern, "base64"), "The bytes themselves."),
	may("mimeType", line(), "Their type.").without("by the extension of the file").such("image/png"),
).one("file", "base64")

var embedded = describe[core.EmbeddedConfig]("embedded", "A resource within a message.", nil,
	must("uri", line(), "The URI of a resource of the same server; `{{name}}` places are allowed.").such("book:///terms"),
	may("text", prose(), "The text of the resource, when it is not one of the server's.").without("the resource is read from the server"),
	may("mimeType", line(), "The type of the text.").such("text/markdown"),
)
