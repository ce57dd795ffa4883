//! Lock files: what is to be installed for a language.
