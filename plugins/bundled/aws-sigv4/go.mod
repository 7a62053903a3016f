module github.com/sallyport/sallyport/plugins/bundled/aws-sigv4

go 1.24.0

require github.com/sallyport/sallyport/sdk/go v0.1.0

replace github.com/sallyport/sallyport/sdk/go => ../../../sdk/go
