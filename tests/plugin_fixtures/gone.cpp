// A library that is linked and then not shipped.
void antiphon_fixture_gone() {}
