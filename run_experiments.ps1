#!/usr/bin/env pwsh
#requires -Version 5.1

<#
.SYNOPSIS
Run the hyperparameter study from a menu, or one part of it with -Action.

.DESCRIPTION
Works in Windows PowerShell 5.1 and in PowerShell 7 on Windows, Linux and macOS, from any folder. The first use finds a
Python that torch has wheels for (3.11 to 3.14), makes .venv beside this script and installs requirements.txt into it.

Without -Action there is a menu. With it, the exit code is that of the Python program: 0 all complete, 1 some trial
failed, 2 bad usage or data, 3 the answer was no, 130 interrupted. A run that got through is followed by the analysis,
whose exit code counts where the run's is 0. When PowerShell itself refuses a parameter, it ends with exit code 1.

Trials that are complete are never run again: the same choice resumes. -WhatIf prints the command lines and runs none.

.PARAMETER Action
Run: All (the seven experiments, or those of -Subject), Quick (all but the units grid), FollowUp, Custom (those that
-Experiments names, or else those of -Study or -Subject), UntilDecided (adds seeds until each hypothesis is decided),
Confirm (the best on fresh seeds). Look: DryRun (what would run, and for how long), Analyze, Status, Report (opens it,
and makes it first where it is missing or out of date), TensorBoard. Menu is the default.

.PARAMETER Experiments
Names or numbers of experiments, or groups, for Custom, UntilDecided, Confirm, DryRun and Status: epochs,depth for
example.

.PARAMETER Seeds
Replicates per configuration (default: 5), or a range like 10-19.

.PARAMETER MostSeeds
UntilDecided ends at this many seeds per configuration (default: 80).

.PARAMETER TimeLimit
UntilDecided starts no trial after this time, like 90s, 30m or 2h (default: none).

.PARAMETER Study
A TOML file with experiments of your own, like examples/own_study.toml.

.PARAMETER Subject
A Python file with a subject of your own, like examples/digits.py. Unless -LogDir and -OutputDir say otherwise, its logs
go to logs_digits and its report to digits, both beside this script.

.PARAMETER Dataset
auto (the default), fashion-mnist, or the built-in stand-ins garments and garments-small.

.PARAMETER DataDir
Folder with Fashion-MNIST (default: found or downloaded by the program).

.PARAMETER Validation
holdout (the default), or test as in the course.

.PARAMETER LogDir
Where the logs are (default: modellogs beside this script).

.PARAMETER OutputDir
Where the analysis writes its report, tables and figures (default: the folder of this script).

.PARAMETER Device
auto (the default), cpu, cuda or mps.

.PARAMETER Workers
Trials at a time (default: the CPU cores; 4 on a GPU).

.PARAMETER Python
An interpreter that has the requirements already; no .venv is made then. GRIDSTUDY_PYTHON in the environment does the
same.

.PARAMETER Yes
Start a run without asking.

.PARAMETER NoOpen
Open no browser for TensorBoard or the report.

.EXAMPLE
./run_experiments.ps1

The menu.

.EXAMPLE
./run_experiments.ps1 -Action Quick -Seeds 3 -Yes

A first look, without a question.

.EXAMPLE
./run_experiments.ps1 -Action UntilDecided -Experiments epochs,depth -TimeLimit 30m

.EXAMPLE
./run_experiments.ps1 -Action Custom -Subject examples/digits.py -WhatIf

The command lines for a subject of your own; nothing is run.
#>
[CmdletBinding(PositionalBinding = $false, SupportsShouldProcess)]
param(
    [Parameter(Position = 0)]
    [ValidateSet('Menu', 'All', 'Quick', 'FollowUp', 'Custom', 'UntilDecided', 'Confirm', 'DryRun', 'Analyze', 'Status',
        'Report', 'TensorBoard')]
    [string] $Action = 'Menu',
    [string[]] $Experiments = @(),
    [string] $Seeds, [string] $MostSeeds, [string] $TimeLimit,
    [string] $Study, [string] $Subject,
    [string] $Dataset, [string] $DataDir, [string] $Validation,
    [string] $LogDir, [string] $OutputDir,
    [string] $Device, [string] $Workers, [string] $Python,
    [switch] $Yes, [switch] $NoOpen
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false  # PowerShell 7 may be set to throw on any exit code but 0
$OnWindows = [System.IO.Path]::DirectorySeparatorChar -eq '\'
$PythonVersions = @('3.13', '3.12', '3.11', '3.14')  # torch 2.13 has wheels for these; in the order of preference
$Options = [ordered]@{
    Seeds = '--seeds'; MostSeeds = '--most-seeds'; TimeLimit = '--time-limit'; Study = '--study'; Subject = '--subject'
    Dataset = '--dataset'; DataDir = '--data-dir'; Validation = '--validation'; LogDir = '--logdir'
    OutputDir = '--output'; Device = '--device'; Workers = '--workers'
}
$Paths = @('Study', 'Subject', 'DataDir', 'LogDir', 'OutputDir')
$Chosen = @{}  # the options that were given, by the names of the parameters
$Interpreter = $Address = ''
$Board = $Refused = $null
$ExitCode = 0
$Ended = $false


# Programs

function Resolve-FullPath {
    # A path as the user means it, from the current folder. No trailing separator: Windows PowerShell 5.1 would write it
    # before the closing quote, where it escapes the quote.
    param([string] $Path)
    $full = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
    if ($full.Length -gt 3) { $full = $full.TrimEnd([char[]] '\/') }
    $full
}

function Test-Approval {
    # True where the program is to run; with -WhatIf its command line is printed instead.
    [CmdletBinding(SupportsShouldProcess)]
    param([string] $Command, [string[]] $Argument)
    $words = foreach ($word in @($Command) + $Argument) {
        if ($word -match '^[\w./:\\+=-]+$') { $word } else { "'" + $word.Replace("'", "''") + "'" }
    }
    $line = @($words) -join ' '
    if ($line[0] -eq "'") { $line = "& $line" }
    $PSCmdlet.ShouldProcess($line, "Run ${line}?", 'run_experiments.ps1')
}

function Invoke-Program {
    # Run a program and keep its exit code in $ExitCode. Never assign or pipe this: the program would lose the terminal.
    param([string] $Command, [string[]] $Argument)
    $ErrorActionPreference = 'Continue'  # in 5.1, Stop would turn what comes on stderr into an error
    $script:ExitCode = 0
    if (-not (Test-Approval $Command $Argument)) { return }
    Push-Location -LiteralPath $PSScriptRoot
    try { & $Command @Argument }
    finally { Pop-Location }
    $script:ExitCode = $LASTEXITCODE
    if ($ExitCode -eq -1073741510) { $script:ExitCode = 130 }  # what Windows says of a program that Ctrl-C ended
}

function Test-Interpreter {
    # '3.13' where the command runs as a 64-bit Python, else ''. The Microsoft Store's stub runs, and says it is none.
    param([string] $Command, [string[]] $Prefix = @())
    $ErrorActionPreference = 'Continue'
    $code = "import sys; print('python', sys.version_info[0], sys.version_info[1], sys.maxsize.bit_length() + 1)"
    $version = ''
    try {
        foreach ($line in @(& $Command @Prefix -c $code 2>$null)) {
            if ("$line" -match '^python (\d+) (\d+) 64$') { $version = $Matches[1] + '.' + $Matches[2] }
        }
    }
    catch { $version = '' }
    $version
}

function Find-BasePython {
    # The command for a Python that torch has wheels for, as an array of one or two strings; none is an error.
    if ($OnWindows) { $candidates = @($PythonVersions | ForEach-Object { "py -$_" }) }
    else { $candidates = @($PythonVersions | ForEach-Object { "python$_" }) }
    foreach ($candidate in $candidates + @('python3', 'python')) {
        $words = @($candidate -split ' ')
        if (-not (Get-Command -Name $words[0] -CommandType Application -ErrorAction SilentlyContinue)) { continue }
        $prefix = @($words | Select-Object -Skip 1)
        if ($PythonVersions -contains (Test-Interpreter -Command $words[0] -Prefix $prefix)) { return $words }
    }
    throw ('a 64-bit Python 3.11 to 3.14 is needed and none was found; ' +
        'install one from https://www.python.org/downloads or give one with -Python')
}

function Find-GivenPython {
    # The path of the interpreter that the user names.
    param([string] $Name)
    $path = Resolve-FullPath $Name
    if (-not (Test-Path -LiteralPath $path -PathType Leaf)) {
        $found = @(Get-Command -Name $Name -CommandType Application -ErrorAction SilentlyContinue)
        if ($found.Count -eq 0) { throw "-Python and GRIDSTUDY_PYTHON take an interpreter; there is no $Name" }
        $path = $found[0].Path
    }
    if (-not (Test-Interpreter -Command $path)) {
        throw "-Python and GRIDSTUDY_PYTHON take a 64-bit Python; $path does not run as one"
    }
    $path
}

function Initialize-Venv {
    # Make .venv where there is none that runs, and install the requirements where they changed.
    $venv = Join-Path $PSScriptRoot '.venv'
    if ($OnWindows) { $script:Interpreter = Join-Path $venv 'Scripts\python.exe' }
    else { $script:Interpreter = Join-Path $venv 'bin/python' }
    $works = Test-Path -LiteralPath $Interpreter -PathType Leaf
    if ($works) { $works = [bool] (Test-Interpreter -Command $Interpreter) }
    if (-not $works) {
        $base = @(Find-BasePython)
        Write-Host "Making .venv with $base"
        Invoke-Program $base[0] (@($base | Select-Object -Skip 1) + @('-m', 'venv', '--clear', $venv))
        if ($ExitCode -ne 0) { throw "$base could not make $venv; what it said is above" }
    }
    $stamp = Join-Path $venv 'requirements-installed'
    $requirements = Join-Path $PSScriptRoot 'requirements.txt'
    if (Test-Path -LiteralPath $stamp) {
        $installed = (Get-Item -LiteralPath $stamp -Force).LastWriteTimeUtc
        if ($installed -ge (Get-Item -LiteralPath $requirements).LastWriteTimeUtc) { return }
    }
    Write-Host 'Installing the requirements; the first time, this takes some minutes'
    Invoke-Program $Interpreter @('-m', 'pip', 'install', '--disable-pip-version-check', '-r', $requirements)
    if ($ExitCode -ne 0) {
        throw "pip could not install $requirements; what it said is above. The next start tries again"
    }
    if (-not $WhatIfPreference) { Set-Content -LiteralPath $stamp -Value 'made by run_experiments.ps1' -Encoding ASCII }
}


# The actions

function Get-Option {
    # The options that were chosen, as the programs take them. A subject of one's own gets folders of its own.
    param([string[]] $Name)
    $folders = @{}
    if ($Chosen['Subject']) {
        $own = [System.IO.Path]::GetFileNameWithoutExtension($Chosen['Subject'])
        $folders = @{ LogDir = "logs_$own"; OutputDir = $own }
    }
    foreach ($option in $Name) {
        if ($Chosen[$option]) { $Options[$option]; $Chosen[$option] }
        elseif ($folders[$option]) { $Options[$option]; $folders[$option] }
    }
}

function Use-Choice {
    # Choose a value; '' is the default.
    param([string] $Name, [string] $Value)
    if ($Value -and ($Paths -contains $Name)) { $Value = Resolve-FullPath $Value }
    $Chosen[$Name] = $Value
}

function Invoke-Study {
    param([string[]] $Argument)
    $names = @($Options.Keys)
    if ($Argument -notcontains '--status') { $names = $names -ne 'OutputDir' }
    if (($Argument -contains '--confirm') -and ($Action -eq 'Menu')) { $names = $names -ne 'Seeds' }  # it has its own
    Invoke-Program $Interpreter (@('grid_search_experiments.py') + $Argument + @(Get-Option $names))
}

function Invoke-Analysis {
    param([string[]] $Argument = @())
    Invoke-Program $Interpreter (@('analyze_results.py') + $Argument + @(Get-Option 'LogDir', 'OutputDir'))
}

function Invoke-Run {
    # Train what is missing, then analyse; the exit code is the run's, or else the analysis's.
    param([string[]] $Argument = @())
    if (-not $Yes) { $Argument = $Argument + '--ask' }
    Invoke-Study $Argument
    $code = $ExitCode
    if ($code -gt 1) { return }
    Invoke-Analysis
    if ($Action -eq 'Menu') { if ((Read-Answer 'Open the report? [y/N]') -match '^y') { Open-Report } }
    if ($code -ne 0) { $script:ExitCode = $code }
}

function Open-Report {
    # Open the report in the browser; make it first where it is missing or older than the logs.
    Invoke-Analysis '--if-outdated'
    if ($NoOpen -or ($ExitCode -ne 0)) { return }
    $open = 'import pathlib, sys, webbrowser; webbrowser.open(pathlib.Path(*sys.argv[1:]).resolve().as_uri())'
    Invoke-Program $Interpreter (@('-c', $open) + @(Get-Option 'OutputDir' | Select-Object -Last 1) + 'report.html')
}

function Open-Board {
    # Start TensorBoard beside this script and wait for its address. It ends with the pipe that is its standard input.
    $arguments = @('-m', 'gridstudy', 'board', '--until-stdin-closes') + @(Get-Option 'LogDir')
    if ($NoOpen) { $arguments += '--no-open' }
    if (-not (Test-Approval $Interpreter $arguments)) { return }
    Write-Host 'Starting TensorBoard ...'
    $start = New-Object System.Diagnostics.ProcessStartInfo -Property @{
        FileName = $Interpreter; WorkingDirectory = $PSScriptRoot; UseShellExecute = $false
        Arguments = @($arguments | ForEach-Object { '"' + $_.Replace('"', '\"') + '"' }) -join ' '
        RedirectStandardInput = $true; RedirectStandardOutput = $true
    }
    $script:Board = [System.Diagnostics.Process]::Start($start)
    $line = $Board.StandardOutput.ReadLineAsync()
    while (-not $line.IsCompleted) { Start-Sleep -Milliseconds 100 }
    $script:Address = $line.Result
    if ($Address) { Write-Host $Address } else { [void] $Board.WaitForExit(5000) }  # what it said is above
}

function Close-Board {
    if (-not $Board) { return }
    $Board.StandardInput.Close()
    if (-not $Board.WaitForExit(5000)) { $Board.Kill() }
    $script:Board = $null
}

function Invoke-StudyAction {
    # Do one action with the experiments named and leave its exit code in $ExitCode.
    param([string] $Name, [string[]] $Experiment = @())
    $script:ExitCode = 0
    switch ($Name) {
        'All' { if ($Chosen['Subject']) { Invoke-Run } else { Invoke-Run 'all' } }
        'Quick' { Invoke-Run 'quick' }
        'FollowUp' { Invoke-Run 'follow-up' }
        'Custom' { Invoke-Run $Experiment }
        'UntilDecided' { Invoke-Run ($Experiment + '--until-decided') }
        'Confirm' { Invoke-Run ($Experiment + '--confirm') }
        'DryRun' { Invoke-Study ($Experiment + '--dry-run') }
        'Analyze' { Invoke-Analysis }
        'Status' { Invoke-Study ($Experiment + '--status') }
        'Report' { Open-Report }
        'TensorBoard' {
            Open-Board
            while ($Board -and (-not $Board.HasExited)) { Start-Sleep -Milliseconds 100 }
            if ($Board) { $script:ExitCode = $Board.ExitCode }
        }
    }
}


# The menu

function Show-Menu {
    # The state, the choices and the keys; choices that the program refuses are taken back.
    Write-Host ''
    Invoke-Study '--status', '--short'
    if ($Refused -and ($ExitCode -ne 0)) {
        $script:Chosen = $Refused
        Invoke-Study '--status', '--short'
    }
    $script:Refused = $null
    if ($Board -and $Board.HasExited) { $script:Board = $null }
    if ($Board) { Write-Host "TensorBoard: $Address (t stops it)" }
    Write-Host @'

  1  Run all experiments                 w  What would run, and for how long
  2  Quick: all but the units grid       a  Analyse: tables, figures and the report
  3  Follow-ups                          s  Status of each experiment
  4  Choose experiments                  r  Open the report
  5  Until each hypothesis is decided    t  TensorBoard, beside the menu
  6  Confirm the best on fresh seeds     o  Change a choice
  7  A study or a subject of your own    q  Quit
'@
}

function Read-Answer {
    param([string] $Question)
    "$(Read-Host $Question)".Trim()
}

function Read-Choice {
    # Change one choice until the menu ends.
    $known = @($Options.Values | Where-Object { @('--most-seeds', '--time-limit') -notcontains $_ }) -replace '^--'
    $answer = Read-Answer "Which of $($known -join ', ')"
    if ($known -notcontains $answer) { throw "a choice is one of $($known -join ', '); got '$answer'" }
    $name = @($Options.Keys | Where-Object { $Options[$_] -eq "--$answer" })[0]
    Use-Choice $name (Read-Answer "$answer (Enter: the default)")
}

function Invoke-Own {
    # Run a study or a subject of one's own; it stays chosen. A subject has its own data.
    $file = Read-Answer 'Its file, like examples/own_study.toml or examples/digits.py'
    if (-not $file) { return }
    if ($file -notmatch '\.py$') { Use-Choice 'Study' $file }
    else {
        foreach ($name in @('Study', 'Dataset', 'DataDir', 'Validation')) { $Chosen.Remove($name) }
        Use-Choice 'Subject' $file
    }
    Invoke-Study '--status', '--short'
    if ($ExitCode -eq 0) { Invoke-StudyAction 'Custom' } else { $script:Chosen = $Refused }
}

function Invoke-MenuEntry {
    param([string] $Key)
    $keys = @{ '1' = 'All'; '2' = 'Quick'; '3' = 'FollowUp'; '4' = 'Custom'; '5' = 'UntilDecided'; '6' = 'Confirm'
        'w' = 'DryRun'; 'a' = 'Analyze'; 's' = 'Status'; 'r' = 'Report' }
    $script:Refused = $Chosen.Clone()
    if ($Key -eq 'o') { Read-Choice }
    elseif ($Key -eq '7') { Invoke-Own }
    elseif (($Key -eq 't') -and $Board) { Close-Board; Write-Host 'TensorBoard has stopped.' }
    elseif ($Key -eq 't') { Open-Board }
    elseif (-not $keys.ContainsKey($Key)) { Write-Host "'$Key' is not on the menu" -ForegroundColor Yellow }
    else {
        $experiment = @()
        if ($Key -eq '4') { Invoke-Study '--list' }
        if (@('4', '5', '6', 'w') -contains $Key) {
            $experiment = @((Read-Answer 'Which experiments, by number or name (Enter: all)') -split '[,\s]+' -ne '')
        }
        if ($Key -eq '5') {
            $limit = Read-Answer 'Until how many seeds like 40, or for what time like 30m (Enter: 80 seeds)'
            if ($limit -match '[smh]$') { $experiment += '--time-limit', $limit }
            elseif ($limit) { $experiment += '--most-seeds', $limit }
        }
        Invoke-StudyAction $keys[$Key] $experiment
    }
}

function Invoke-Menu {
    while ($true) {
        Show-Menu
        $key = Read-Host 'Choose'
        if (($null -eq $key) -or ($key.Trim() -eq 'q')) { break }  # null: the input is at its end
        try { Invoke-MenuEntry $key.Trim() }
        catch { Write-Host "error: $($_.Exception.Message)" -ForegroundColor Red }
    }
    $script:ExitCode = 0
}


# Here it starts

try {
    $named = @($Experiments -split '[,\s]+' -ne '')  # powershell -File hands over a list as one string
    $takeNames = @('Custom', 'UntilDecided', 'Confirm', 'DryRun', 'Status')
    if ($named -and ($takeNames -notcontains $Action)) {
        throw "-Experiments goes with -Action $($takeNames -join ', '); got -Action $Action"
    }
    if (($Action -eq 'Custom') -and (-not ($named -or $Study -or $Subject))) {
        throw '-Action Custom takes -Experiments, like epochs,depth, or -Study or -Subject; got none'
    }
    foreach ($name in @($Options.Keys | Where-Object { $PSBoundParameters.ContainsKey($_) })) {
        if ((@('Analyze', 'Report', 'TensorBoard') -contains $Action) -and ($name -notmatch 'Dir$|^Subject$')) {
            throw "-Action $Action takes -LogDir, -OutputDir and -Subject; got -$name"
        }
        if ((@('MostSeeds', 'TimeLimit') -contains $name) -and ($Action -ne 'UntilDecided')) {
            throw "-$name goes with -Action UntilDecided; got -Action $Action"
        }
        Use-Choice $name $PSBoundParameters[$name]
    }
    if (-not $Python) { $Python = $env:GRIDSTUDY_PYTHON }
    if ($Python) { $Interpreter = Find-GivenPython $Python }
    else {
        $automatic = $env:PYTHON_MANAGER_AUTOMATIC_INSTALL
        $env:PYTHON_MANAGER_AUTOMATIC_INSTALL = 'false'  # looking for a Python must not install one
        try { Initialize-Venv }
        finally { $env:PYTHON_MANAGER_AUTOMATIC_INSTALL = $automatic }
    }
    if ($Action -eq 'Menu') { Invoke-Menu } else { Invoke-StudyAction $Action $named }
    $Ended = $true
}
catch {
    [Console]::Error.WriteLine("error: $($_.Exception.Message)")
    $ExitCode = 2
    $Ended = $true
}
finally {
    Close-Board
    if (-not $Ended) { $Host.SetShouldExit(130) }  # Ctrl-C
}
exit $ExitCode
