package upstream

// Lax switches defences of a client off.
func (c *Client) Lax(streams, handles, origin, sessions bool) {
	c.lax = lax{streams: streams, handles: handles, origin: origin, sessions: sessions}
}
