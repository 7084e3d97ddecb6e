"""Extensions of the protocol that come with trimcp, each a package on the public mechanism of extensions."""
