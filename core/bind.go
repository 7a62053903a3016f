package core

// SealedRow is the purpose (Sealer) of what stands sealed in a row of the Store.
const SealedRow = "row"

// What is sealed in a row is bound to where it stands: tenant, kind, field and id
// (security.md T16), so that it opens nowhere else. Whoever seals or opens such a
// field says SealedRow and one of these lists.

// CredentialBind is for Credential.Sealed. Owner and connector belong to it: whoever can
// write rows must not hand one user's account to another.
func CredentialBind(c *Credential) []string {
	return []string{c.Tenant, "credential", "sealed", c.ID, c.Owner, c.Connector}
}

// ProviderBind is for Provider.ClientSecret.
func ProviderBind(p *Provider) []string {
	return []string{p.Tenant, "provider", "client_secret", p.ID}
}

// ConnectorBind is for Connector.ClientSecret.
func ConnectorBind(c *Connector) []string {
	return []string{c.Tenant, "connector", "client_secret", c.Name}
}

// SettingBind is for a Setting whose value is a sealed text.
func SettingBind(s *Setting) []string {
	return []string{s.Tenant, "setting", "value", s.Name}
}
