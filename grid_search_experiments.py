"""Run the hyperparameter study: choose experiments, train what is missing, report what came out."""

from gridstudy.cli.command_line import end
from gridstudy.cli.run import main

if __name__ == "__main__":
    end(main())
