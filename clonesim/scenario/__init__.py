"""What is modeled: cited parameters now; scenarios (frozen, validated) stand here too."""
