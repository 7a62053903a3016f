package core

import "context"

// Authenticator says who calls an MCP server.
type Authenticator interface {
	// Authenticate returns who sent a request. Without a credential that is the
	// anonymous caller where server.Access allows one, and otherwise an *Error with
	// CodeUnauthenticated; a credential that is wrong is always that error. One whose
	// scopes do not reach is CodeScope. Challenge of the error is the value of
	// WWW-Authenticate (RFC 6750, RFC 9728). It does not wait for the store.
	Authenticate(ctx context.Context, request *AuthRequest) (Identity, error)
}

// AuthRequest is what an Authenticator looks at.
type AuthRequest struct {
	Server *Server // nil where there is no server of that prefix: the answer must look the same
	Tenant string  // that the path names
	// Resource is the canonical URI of the endpoint that was called, such as
	// https://mcp.example.com/github/mcp: the audience that a token must have (RFC 8707).
	Resource string
	// Metadata is the URL of its RFC 9728 metadata.
	Metadata string
	Header   HeaderSource
	Address  string // of the client, without a port
}
