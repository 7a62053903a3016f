// All tests in one process, so that each guest is compiled once.
import './json.test.mjs';
import './call.test.mjs';
import './host.test.mjs';
import './memory.test.mjs';
import './examples.test.mjs';
