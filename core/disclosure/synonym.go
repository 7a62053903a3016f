package disclosure

import "strings"

// alike are words that stand for each other in names and descriptions of tools: the verbs
// of their makers and of their callers, and short forms. A word stands in one line only.
const alike = `
create add new make insert open
delete remove erase drop destroy trash
list enumerate show browse
get fetch read retrieve load view
update edit change modify set patch
search find query lookup
send post publish deliver
start run launch execute begin
stop halt terminate kill shutdown
copy duplicate clone
move rename relocate
upload put store save
schedule plan book
message msg chat
mail email e-mail
repository repo
directory folder dir
document doc page
database db
configuration config preference
environment env
authentication auth login
picture image photo
application app
ticket issue bug
pull-request pr merge-request
translate localize
weather forecast
money currency
bill invoice
buy order purchase
person user member people
log logs trace
url link website web internet
calendar agenda
meeting event appointment
`

// synonyms is alike by stem.
var synonyms = func() map[string][]string {
	table := map[string][]string{}
	for line := range strings.Lines(alike) {
		var stems []string
		for text := range strings.FieldsSeq(line) {
			split(text, false, func(w word) bool {
				if !strings.Contains(text, "-") {
					stems = append(stems, w.text)
				}
				return true
			})
		}
		for i, s := range stems {
			for j, other := range stems {
				if i != j && s != other {
					table[s] = append(table[s], other)
				}
			}
		}
	}
	return table
}()

// verbs say which of the tools for a thing is meant, and not which thing: get_forecast and
// get_directions share one. They count less in a query.
var verbs = func() map[string]bool {
	table := map[string]bool{}
	const words = `create add new make insert open delete remove list enumerate show get fetch read retrieve load view update edit change modify set patch
		search find query lookup look send start run launch execute begin stop give tell go know`
	for w := range strings.FieldsSeq(words) {
		table[stem(w)] = true
	}
	return table
}()

// stopWords say nothing of what a tool does.
var stopWords = func() map[string]bool {
	table := map[string]bool{}
	const words = `a an the this that these those it its i me my we our you your he she they them their is are was were be been am do does did
		can could will would shall should may might must have has had to of in on at by for from with into about as and or but not no if then than so
		what which who whom whose when where why how there here any some all please want need tool tools use using via let just s t m re`
	for w := range strings.FieldsSeq(words) {
		table[stem(w)] = true
		table[w] = true
	}
	return table
}()
