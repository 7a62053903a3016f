package store

func (s *Store) openPostgres(string) error { return invalid("not yet", "") }
