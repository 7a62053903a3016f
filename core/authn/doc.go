// Package authn says who calls.
package authn
