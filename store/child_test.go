package store

const childVariable = "SALLYPORT_STORE_CHILD"

func child(string) int { return 1 }
