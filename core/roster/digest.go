package roster

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/core"
)

// digestOf names a configuration, the values of its secrets included. It is for comparing
// alone, and shown nowhere.
func digestOf(c *core.UpstreamConfig, connection *core.Connection) string {
	h := sha256.New()
	own := *c
	own.Route = nil // it says what is served, and not what is connected
	writeJSON(h, own)
	writeSecrets(h, own.Secrets)
	if connection != nil {
		plain := *connection
		plain.BaseURL = nil
		fmt.Fprintf(h, "%q", connection.BaseURL.String())
		writeJSON(h, plain)
		writeSecrets(h, connection.Secret)
		writeSecrets(h, connection.Query)
		fmt.Fprintf(h, "%q", connection.TLS.Key.Reveal())
	}
	return hex.EncodeToString(h.Sum(nil))
}

func writeJSON(h hash.Hash, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		text = []byte(err.Error())
	}
	fmt.Fprintf(h, "%d:%s", len(text), text)
}

func writeSecrets(h hash.Hash, secrets map[string]core.Secret) {
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		fmt.Fprintf(h, "%q=%q,", name, secrets[name].Reveal())
	}
	fmt.Fprint(h, ";")
}

// digestOffer names what clients get of an upstream.
func digestOffer(o *core.Offer) string {
	h := sha256.New()
	writeJSON(h, o.Offers)
	fmt.Fprintf(h, "%q%q%s", o.Revision, o.Instructions, o.Server)
	for _, list := range [][]json.RawMessage{o.Tools, o.Prompts, o.Resources, o.Templates} {
		fmt.Fprintf(h, "%d;", len(list))
		for _, one := range list {
			fmt.Fprintf(h, "%d:%s", len(one), one)
		}
	}
	for _, held := range o.Held {
		fmt.Fprintf(h, "%q%q", held.Of, held.Name)
	}
	return hex.EncodeToString(h.Sum(nil))
}
