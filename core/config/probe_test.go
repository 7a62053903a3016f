package config

import (
	"fmt"
	"testing"
)

func TestProbe(t *testing.T) {
	fmt.Print(string(Schema(nil, nil)))
}
