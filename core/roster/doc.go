// Package roster keeps the upstreams of documents (core.Remotes): connected, listed, and
// held to what was approved, from one Catalog to the next.
package roster
