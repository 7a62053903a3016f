package app

import (
	"context"

	"github.com/sallyport/sallyport/core/config"
)

type schemaCommand struct{}

func (schemaCommand) run(_ context.Context, c console) int {
	if _, err := c.out.Write(append(config.Schema(reading(kinds(), c.lookup)), '\n')); err != nil {
		return c.complain("print the schema", err)
	}
	return exitOK
}
