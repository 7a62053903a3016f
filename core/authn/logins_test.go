package authn

import (
	"context"

	"github.com/sallyport/sallyport/core"
)

func (r *rig) login(name, password string) (*Granted, error) {
	return r.logins.Password(context.Background(), "", name, core.Secret(password), From{Address: "192.0.2.7", Agent: "test"})
}
