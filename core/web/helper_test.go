package web

const helperEnv = "SALLYPORT_WEB_TEST_HELPER"

func helper() int { return 0 }
