package bookshop

// Book is one title on the shelf. Price is in euro cents.
type Book struct {
	ID     string   `json:"id"`
	Title  string   `json:"title"`
	Author string   `json:"author"`
	Year   int      `json:"year"`
	Tags   []string `json:"tags"`
	Price  int      `json:"price"`
	Stock  int      `json:"stock"`
}

func shelf() []Book {
	return []Book{
		{"b1", "The Tide Tables", "Mara Lindqvist", 1998, []string{"sea", "novel"}, 1890, 7},
		{"b2", "Gates and Keys", "Tomas Oduya", 2011, []string{"history", "castles"}, 2450, 3},
		{"b3", "A Field Guide to Small Machines", "Ines Calvo", 2019, []string{"engineering"}, 3200, 12},
		{"b4", "Salt Roads", "Mara Lindqvist", 2004, []string{"sea", "history"}, 1650, 0},
		{"b5", "The Watchman's Almanac", "Piet van Daal", 1987, []string{"castles", "novel"}, 1290, 4},
		{"b6", "Letters from the Lower Bailey", "Noor Haddad", 2015, []string{"castles", "letters"}, 1999, 9},
		{"b7", "Numbers for Sailors", "Ines Calvo", 2021, []string{"sea", "mathematics"}, 2780, 5},
		{"b8", "The Quiet Portcullis", "Tomas Oduya", 2017, []string{"castles", "novel"}, 1750, 6},
		{"b9", "Bread at Sea", "Olga Brandt", 2009, []string{"sea", "cooking"}, 2100, 2},
		{"b10", "How to Keep a Log", "Piet van Daal", 1992, []string{"sea", "engineering"}, 1400, 11},
		{"b11", "Ironwork", "Noor Haddad", 2020, []string{"engineering", "castles"}, 3900, 1},
		{"b12", "Primes in Winter", "Lena Sørensen", 2023, []string{"mathematics", "novel"}, 2250, 8},
	}
}
