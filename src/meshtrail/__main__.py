from meshtrail.cli import main

main()
