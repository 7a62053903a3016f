package author

import (
	"context"

	"github.com/sallyport/sallyport/plugins/toolchain"
)

// compile builds a folder with the compiler that its sources ask for.
func compile(ctx context.Context, dir, out string) error { return toolchain.Build(ctx, dir, out) }
