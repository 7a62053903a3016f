module github.com/sallyport/sallyport/sdk/go

go 1.24.0
