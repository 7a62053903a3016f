package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/sdk/go/plugin"
)

var example = credentials{id: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

// Cases of AWS's own test suite for Signature Version 4 and the examples of its
// documentation, with the signatures that stand there.
func TestPublishedSignatures(t *testing.T) {
	suite := time.Date(2015, 8, 30, 12, 36, 0, 0, time.UTC)
	service := signer{region: "us-east-1", service: "service"}
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name      string
		signer    signer
		request   request
		at        time.Time
		signature string
	}{
		{"get-vanilla", service, request{method: "GET", path: "/"}, suite, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query", service, request{method: "GET", path: "/"}, suite, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-vanilla-query-order-key-case", service, request{method: "GET", path: "/", query: "Param2=value2&Param1=value1"}, suite, "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
		{"get-vanilla-utf8-query", service, request{method: "GET", path: "/", query: escape("ሴ", false) + "=bar"}, suite, "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
		{"get-unreserved", service, request{method: "GET", path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}, suite, "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
		{"get-header-value-trim", service, request{method: "GET", path: "/", header: plugin.Header{{Name: "My-Header1", Value: " value1"}, {Name: "My-Header2", Value: ` "a   b   c"`}}}, suite, "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
		{"get-slash", service, request{method: "GET", path: "//"}, suite, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"get-relative-relative", service, request{method: "GET", path: "/example1/example2/../.."}, suite, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
		{"post-vanilla", service, request{method: "POST", path: "/"}, suite, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
		{"post-header-key-sort", service, request{method: "POST", path: "/", header: plugin.Header{{Name: "My-Header1", Value: "value1"}}}, suite, "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
		{"post-x-www-form-urlencoded", service, request{method: "POST", path: "/", header: plugin.Header{{Name: "Content-Type", Value: form}}, body: []byte("Param1=value1")}, suite, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
		{
			"IAM ListUsers, of the documentation",
			signer{region: "us-east-1", service: "iam"},
			request{method: "GET", host: "iam.amazonaws.com", path: "/", query: "Action=ListUsers&Version=2010-05-08", header: plugin.Header{{Name: "Content-Type", Value: form + "; charset=utf-8"}}},
			suite, "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.request
			if r.host == "" {
				r.host = "example.amazonaws.com"
			}
			tt.signer.sign(&r, example, tt.at)
			if got := r.header.Get("authorization"); !strings.HasSuffix(got, "Signature="+tt.signature) {
				t.Errorf("%s\nwant Signature=%s", got, tt.signature)
			}
		})
	}
}

// The examples of "Signature Calculations for the Authorization Header" in the S3 API
// Reference.
func TestPublishedSignaturesOfS3(t *testing.T) {
	keys := credentials{id: "AKIAIOSFODNN7EXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
	at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		request   request
		signature string
	}{
		"GET object":    {request{method: "GET", path: "/test.txt", header: plugin.Header{{Name: "Range", Value: "bytes=0-9"}}}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
		"PUT object":    {request{method: "PUT", path: "/" + escape("test$file.text", false), header: plugin.Header{{Name: "Date", Value: "Fri, 24 May 2013 00:00:00 GMT"}, {Name: "x-amz-storage-class", Value: "REDUCED_REDUNDANCY"}}, body: []byte("Welcome to Amazon S3.")}, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
		"GET lifecycle": {request{method: "GET", path: "/", query: "lifecycle"}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
		"GET list":      {request{method: "GET", path: "/", query: "max-keys=2&prefix=J"}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
	} {
		r := tt.request
		r.host = "examplebucket.s3.amazonaws.com"
		signer{region: "us-east-1", service: "s3", s3: true}.sign(&r, keys, at)
		if got := r.header.Get("authorization"); !strings.HasSuffix(got, "Signature="+tt.signature) {
			t.Errorf("%s: %s\nwant Signature=%s", name, got, tt.signature)
		}
	}
}
