"""Many runs: arms that differ in what is asked about, trained over seeds until each claim about them is decided."""
