module guest

go 1.24.0

require github.com/sallyport/sallyport/sdk/go v0.0.0

replace github.com/sallyport/sallyport/sdk/go => ../../../../sdk/go
