#!/usr/bin/env pwsh
#requires -Version 5.1

<#
.SYNOPSIS
Run the hyperparameter study from a menu, or one part of it with -Action.

.DESCRIPTION
Works in Windows PowerShell 5.1 and in PowerShell 7 on Windows, Linux and macOS, from any folder. The first use finds a
Python that torch has wheels for (3.11 to 3.14), makes .venv beside this script and installs requirements.txt into it.

Without -Action there is a menu. With it, the exit code is that of the Python program: 0 all complete, 1 some trial
failed, 2 bad usage or data, 130 interrupted. Trials that are complete are never run again: the same choice goes on from
where it stopped.

.PARAMETER Action
All (the seven experiments), Quick (all but the units grid), FollowUp, Custom (with -Experiments), DryRun, Analyze,
TensorBoard, Report, Status, or Menu (the default).

.PARAMETER Experiments
Names of experiments or groups for Custom, DryRun and Status: epochs,depth for example.

.PARAMETER Seeds
Replicates per configuration (default: 5), or a range like 10-19.

.PARAMETER DataDir
Folder with Fashion-MNIST (default: found or downloaded by the program).

.PARAMETER Dataset
auto (the default), fashion-mnist, or the built-in stand-ins garments and garments-small.

.PARAMETER LogDir
Where the logs are (default: modellogs beside this script).

.PARAMETER OutputDir
Where the analysis writes its report, tables and figures (default: the folder of this script).

.PARAMETER Python
An interpreter that has the requirements already; no .venv is made then. GRIDSTUDY_PYTHON in the environment does the
same.

.PARAMETER Yes
Start a long run without asking.

.PARAMETER NoOpen
Print the address of TensorBoard or of the report, and open no browser.

.EXAMPLE
./run_experiments.ps1

The menu.

.EXAMPLE
powershell -ExecutionPolicy Bypass -File .\run_experiments.ps1

The menu, in Windows PowerShell 5.1 where scripts are not allowed to run otherwise.

.EXAMPLE
./run_experiments.ps1 -Action Quick -Seeds 3 -Yes

A first look, without a question.

.EXAMPLE
./run_experiments.ps1 -Action Custom -Experiments epochs,depth -Seeds 10
#>
[CmdletBinding(PositionalBinding = $false)]
param(
    [Parameter(Position = 0)]
    [ValidateSet('Menu', 'All', 'Quick', 'FollowUp', 'Custom', 'DryRun', 'Analyze', 'TensorBoard', 'Report', 'Status')]
    [string] $Action = 'Menu',
    [string[]] $Experiments = @(),
    [string] $Seeds = '5',
    [string] $DataDir = '',
    [ValidateSet('auto', 'fashion-mnist', 'garments', 'garments-small')]
    [string] $Dataset = 'auto',
    [string] $LogDir = '',
    [string] $OutputDir = '',
    [string] $Python = '',
    [switch] $Yes,
    [switch] $NoOpen
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$PSNativeCommandUseErrorActionPreference = $false  # PowerShell 7 may be set to throw on any exit code but 0
$global:LASTEXITCODE = 0

$OnWindows = [System.IO.Path]::DirectorySeparatorChar -eq '\'
$PythonVersions = @('3.13', '3.12', '3.11', '3.14')  # torch 2.13 has wheels for these; in the order of preference
$Interpreter = ''
$ExitCode = 0
$Stopped = $false


# What each action runs

function Get-StudyArguments {
    # The arguments of Python for an action. The tests read this function, so it stays plain: literals, if, switch.
    param(
        [string] $Action,
        [string[]] $Experiments = @(),
        [string] $Seeds,
        [string] $Dataset,
        [string] $DataDir,
        [string] $LogDir,
        [string] $OutputDir,
        [string] $Port
    )
    $study = @('grid_search_experiments.py')
    if ($Seeds) { $study += @('--seeds', $Seeds) }
    if ($DataDir) { $study += @('--data-dir', $DataDir) }
    if ($Dataset -ne 'auto') { $study += @('--dataset', $Dataset) }
    switch ($Action) {
        'All' { $arguments = $study + @('all') }
        'Quick' { $arguments = $study + @('quick') }
        'FollowUp' { $arguments = $study + @('follow-up') }
        'Custom' { $arguments = $study + $Experiments }
        'DryRun' { $arguments = $study + @('--dry-run') + $Experiments }
        'Status' { $arguments = $study + @('--dry-run') + $Experiments }
        'Analyze' { $arguments = @('analyze_results.py') }
        'TensorBoard' { $arguments = @('-m', 'tensorboard.main', '--host', '127.0.0.1', '--port', $Port) }
    }
    if ($LogDir) { $arguments += @('--logdir', $LogDir) }
    elseif ($Action -eq 'TensorBoard') { $arguments += @('--logdir', 'modellogs') }
    if ($Action -eq 'Analyze') {
        if ($OutputDir) { $arguments += @('--output', $OutputDir) }
    }
    $arguments
}


# Small helpers

function Resolve-FullPath {
    # A path as the user means it, from the current folder; '' stays ''. No trailing separator: Windows PowerShell 5.1
    # would write it before the closing quote, where it escapes the quote.
    param([string] $Path)
    if (-not $Path) { return '' }
    $full = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($Path)
    if ($full.Length -gt 3) { $full = $full.TrimEnd([char[]] '\/') }
    $full
}

function Split-Names {
    # 'epochs,depth' or 'epochs depth' -> two names: powershell -File hands over a list as one string.
    param([string[]] $Names = @())
    foreach ($name in $Names) { $name -split '[,\s]+' | Where-Object { $_ } }
}

function Show-ExitCode {
    param([int] $Code)
    if ($Code -eq 0) { return }
    if ($Code -eq -1073741510) { $Code = 130 }  # what Windows says of a program that Ctrl-C ended
    $meaning = 'the program broke off; what it said is above'
    switch ($Code) {
        1 { $meaning = 'some trial failed and the rest is done; the same choice tries it again' }
        2 { $meaning = 'bad usage or data; the line above says what and what would work' }
        130 { $meaning = 'interrupted; nothing complete is lost, and the same choice goes on from here' }
    }
    Write-Host "Exit code ${Code}: $meaning" -ForegroundColor Yellow
}


# Python

function Test-Interpreter {
    # '3.13' where the command runs as a 64-bit Python, else ''. The Microsoft Store's stub runs, and says it is none.
    param([string] $Command, [string[]] $Prefix = @())
    $ErrorActionPreference = 'Continue'  # in 5.1, Stop would turn what comes on stderr into an error
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
    $candidates = @()
    if ($OnWindows) { foreach ($version in $PythonVersions) { $candidates += "py -$version" } }
    else { foreach ($version in $PythonVersions) { $candidates += "python$version" } }
    $candidates += @('python3', 'python')
    foreach ($candidate in $candidates) {
        $words = @($candidate -split ' ')
        $prefix = @($words | Select-Object -Skip 1)
        if (-not (Get-Command -Name $words[0] -CommandType Application -ErrorAction SilentlyContinue)) { continue }
        if ($PythonVersions -contains (Test-Interpreter -Command $words[0] -Prefix $prefix)) { return $words }
    }
    throw ('a 64-bit Python 3.11 to 3.14 is needed and none was found; ' +
        'install one from https://www.python.org/downloads or give one with -Python')
}

function Invoke-Setup {
    # Run one step of the setup; throw $Failure where it fails.
    param([string] $Command, [string[]] $Arguments, [string] $Failure)
    $ErrorActionPreference = 'Continue'
    & $Command @Arguments
    if ($LASTEXITCODE -ne 0) { throw $Failure }
}

function Set-GivenInterpreter {
    # Use the interpreter that the user names, as it is.
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
    $script:Interpreter = $path
}

function Initialize-Venv {
    # Make .venv where there is none that runs, and install the requirements where they changed.
    $venv = Join-Path $PSScriptRoot '.venv'
    if ($OnWindows) { $venvPython = Join-Path $venv 'Scripts\python.exe' }
    else { $venvPython = Join-Path $venv 'bin/python' }
    $works = Test-Path -LiteralPath $venvPython -PathType Leaf
    if ($works) { $works = [bool] (Test-Interpreter -Command $venvPython) }
    if (-not $works) {
        $base = @(Find-BasePython)
        $make = @($base | Select-Object -Skip 1) + @('-m', 'venv', '--clear', $venv)
        Write-Host "Making .venv with $base"
        Invoke-Setup -Command $base[0] -Arguments $make -Failure "$base could not make $venv; what it said is above"
    }
    $script:Interpreter = $venvPython
    $stamp = Join-Path $venv 'requirements-installed'
    $requirements = Join-Path $PSScriptRoot 'requirements.txt'
    if (Test-Path -LiteralPath $stamp) {
        $installed = (Get-Item -LiteralPath $stamp -Force).LastWriteTimeUtc
        if ($installed -ge (Get-Item -LiteralPath $requirements).LastWriteTimeUtc) { return }
    }
    Write-Host 'Installing the requirements; the first time, this takes some minutes'
    $install = @('-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', $requirements)
    $failure = "pip could not install $requirements; what it said is above. The next start tries again"
    Invoke-Setup -Command $venvPython -Arguments $install -Failure $failure
    Set-Content -LiteralPath $stamp -Value 'made by run_experiments.ps1' -Encoding ASCII
}

function Initialize-Interpreter {
    $given = $Python
    if (-not $given) { $given = $env:GRIDSTUDY_PYTHON }
    if ($given) { Set-GivenInterpreter -Name $given; return }
    $automatic = $env:PYTHON_MANAGER_AUTOMATIC_INSTALL
    $env:PYTHON_MANAGER_AUTOMATIC_INSTALL = 'false'  # looking for a Python must not install one
    try { Initialize-Venv }
    finally { $env:PYTHON_MANAGER_AUTOMATIC_INSTALL = $automatic }
}

function Invoke-Python {
    # Run a program and keep its exit code in $ExitCode. Never assign or pipe this: the program would lose the terminal.
    param([string[]] $Arguments)
    $ErrorActionPreference = 'Continue'
    $ended = $false
    try {
        & $Interpreter @Arguments
        $script:ExitCode = $LASTEXITCODE
        $ended = $true
    }
    finally {
        if (-not $ended) { Write-Host 'Stopped. Start this script again: the same choice goes on from here.' }
    }
}

function Get-DryRunSummary {
    # The lines of a dry run that count trials and estimate the time; its exit code is kept in $ExitCode.
    param([string[]] $Arguments)
    $ErrorActionPreference = 'Continue'
    $encoding = $env:PYTHONIOENCODING
    $columns = $env:COLUMNS
    $lines = @()
    try {
        $env:PYTHONIOENCODING = 'utf-8'
        $env:COLUMNS = '200'
        $lines = @(& $Interpreter @Arguments)
        $script:ExitCode = $LASTEXITCODE
    }
    finally {
        $env:PYTHONIOENCODING = $encoding
        $env:COLUMNS = $columns
    }
    foreach ($line in $lines) { if ($line -match '^(\d+ trials:|resolution:|estimated time:)') { $line } }
}


# The actions

function Confirm-Training {
    # True where the run may start; otherwise $ExitCode says whether that is an error.
    param([string[]] $Arguments)
    if ($Yes) { return $true }
    Write-Host 'Estimating the time from a few timed steps ...'
    $summary = @(Get-DryRunSummary -Arguments ($Arguments + '--dry-run'))
    if ($script:ExitCode -ne 0) { return $false }
    foreach ($line in $summary) { Write-Host "  $line" }
    if ("$summary" -match ' 0 missing, 0 interrupted, 0 failed') { return $true }
    try { $answer = Read-Host 'Start now? [y/N]' }
    catch { throw 'a long run asks first, and nobody can answer here; give -Yes to start without the question' }
    if ("$answer" -match '^\s*[yY]') { return $true }
    Write-Host 'Nothing was run.'
    $false
}

function Find-FreePort {
    foreach ($port in 6006..6105) {
        $listener = New-Object System.Net.Sockets.TcpListener -ArgumentList ([System.Net.IPAddress]::Loopback), $port
        try {
            $listener.Start()
            $listener.Stop()
            return $port
        }
        catch { continue }
    }
    throw 'TensorBoard needs a free port from 6006 to 6105; all are taken'
}

function Test-Port {
    param([int] $Port)
    $client = New-Object System.Net.Sockets.TcpClient
    try {
        $client.Connect('127.0.0.1', $Port)
        $true
    }
    catch { $false }
    finally { $client.Close() }
}

function Open-Address {
    param([string] $Address)
    if ($NoOpen) { return }
    & $Interpreter -c 'import sys, webbrowser; webbrowser.open(sys.argv[1])' $Address
}

function Start-Hidden {
    # Start Python without a terminal of its own, so that Ctrl-C comes to this script as a key.
    param([string[]] $Arguments)
    $quoted = foreach ($argument in $Arguments) {
        if ($argument -match '\s') { '"' + $argument + '"' } else { $argument }
    }
    $start = New-Object System.Diagnostics.ProcessStartInfo
    $start.FileName = $Interpreter
    $start.Arguments = $quoted -join ' '
    $start.WorkingDirectory = $PSScriptRoot
    $start.UseShellExecute = $false
    $start.CreateNoWindow = $true
    $start.RedirectStandardInput = $true
    $start.RedirectStandardOutput = $true
    $start.RedirectStandardError = $true
    [System.Diagnostics.Process]::Start($start)
}

function Test-StopKey {
    # True after Ctrl-C or q; needs TreatControlCAsInput.
    while ([Console]::KeyAvailable) {
        $key = [Console]::ReadKey($true)
        $control = ($key.Modifiers -band [ConsoleModifiers]::Control) -ne 0
        if ($key.Key -eq [ConsoleKey]::Q) { return $true }
        if ($control -and ($key.Key -eq [ConsoleKey]::C)) { return $true }
    }
    $false
}

function Wait-TensorBoard {
    # Open the browser once the server answers; come back when it ends or the user stops it.
    param([System.Diagnostics.Process] $Process, [int] $Port)
    $address = "http://127.0.0.1:$Port/"
    $answers = $false
    $script:Stopped = $false
    $keys = -not [Console]::IsInputRedirected
    try { if ($keys) { [Console]::TreatControlCAsInput = $true } }
    catch { $keys = $false }  # no console, as in the ISE: Ctrl-C then ends the script, and the server with it
    try {
        while (-not $Process.HasExited) {
            if (-not $answers) {
                $answers = Test-Port -Port $Port
                if ($answers) {
                    Write-Host "TensorBoard is at $address - Ctrl-C or q stops it"
                    Open-Address -Address $address
                }
            }
            if ($keys) { $script:Stopped = Test-StopKey }
            if ($script:Stopped) { return }
            Start-Sleep -Milliseconds 200
        }
    }
    finally {
        if ($keys) { [Console]::TreatControlCAsInput = $false }
        try { if (-not $Process.HasExited) { $Process.Kill() } }
        catch { Write-Verbose 'TensorBoard ended by itself just then' }
    }
}

function Invoke-TensorBoard {
    param([hashtable] $Chosen)
    $port = Find-FreePort
    $arguments = @(Get-StudyArguments -Action 'TensorBoard' -Port "$port" @Chosen)
    Write-Host 'Starting TensorBoard ...'
    $process = Start-Hidden -Arguments $arguments
    $output = $process.StandardOutput.ReadToEndAsync()  # both must be read, or the pipe fills and the server waits
    $errors = $process.StandardError.ReadToEndAsync()
    Wait-TensorBoard -Process $process -Port $port
    if ($script:Stopped) {
        Write-Host 'TensorBoard has stopped.'
        return
    }
    foreach ($text in @($output, $errors)) { if ($text.Wait(2000)) { Write-Host $text.Result } }
    $script:ExitCode = $process.ExitCode
}

function Invoke-Report {
    param([hashtable] $Chosen)
    $folder = $Chosen.OutputDir
    if (-not $folder) { $folder = $PSScriptRoot }
    $report = Join-Path $folder 'report.html'
    if (-not (Test-Path -LiteralPath $report -PathType Leaf)) {
        Write-Host 'There is no report yet: making it'
        Invoke-Python -Arguments @(Get-StudyArguments -Action 'Analyze' @Chosen)
        if ($script:ExitCode -ne 0) { return }
    }
    $made = (Get-Item -LiteralPath $report).LastWriteTime.ToString('yyyy-MM-dd HH:mm')
    Write-Host "The report of ${made}: $report"
    Open-Address -Address ([System.Uri] $report).AbsoluteUri
}

function Invoke-Status {
    param([hashtable] $Chosen)
    $summary = @(Get-DryRunSummary -Arguments @(Get-StudyArguments -Action 'Status' @Chosen))
    if ($script:ExitCode -ne 0) { return }
    $names = 'all seven experiments'
    if ($Chosen.Experiments.Count -gt 0) { $names = $Chosen.Experiments -join ', ' }
    Write-Host "Status of $names, seeds $($Chosen.Seeds):"
    foreach ($line in $summary) { Write-Host "  $line" }
}

function Invoke-StudyAction {
    # Do one action and leave its exit code in $ExitCode.
    param([string] $Name, [hashtable] $Chosen)
    $script:ExitCode = 0
    if ($Name -eq 'TensorBoard') { Invoke-TensorBoard -Chosen $Chosen }
    elseif ($Name -eq 'Report') { Invoke-Report -Chosen $Chosen }
    elseif ($Name -eq 'Status') { Invoke-Status -Chosen $Chosen }
    else {
        $arguments = @(Get-StudyArguments -Action $Name @Chosen)
        $start = $true
        if (@('All', 'Quick', 'FollowUp', 'Custom') -contains $Name) { $start = Confirm-Training -Arguments $arguments }
        if ($start) { Invoke-Python -Arguments $arguments }
    }
    Show-ExitCode -Code $script:ExitCode
}


# The menu

function Read-Choices {
    # The choices with other experiments and seeds, asked for; no names are left as an empty array.
    param([hashtable] $Chosen)
    $asked = $Chosen.Clone()
    Write-Host 'Experiments: epochs units batch_size depth learning_rate optimizer combined'
    Write-Host 'Follow-ups:  batch_size_equal_examples learning_rate_per_optimizer depth_x_units'
    Write-Host '             learning_rate_x_batch_size learning_rate_over_epochs full_passes'
    Write-Host 'Groups:      all quick follow-up'
    $asked.Experiments = @(Split-Names -Names (Read-Host 'Which ones, separated by spaces'))
    if ($asked.Experiments.Count -gt 0) {
        $usual = $Chosen.Seeds
        $answer = Read-Host "Seeds per configuration, or a range like 10-19 (Enter: $usual)"
        if ("$answer".Trim()) { $asked.Seeds = "$answer".Trim() }
    }
    $asked
}

function Show-Menu {
    param([hashtable] $Chosen)
    Write-Host ''
    Write-Host "Hyperparameter study - seeds: $($Chosen.Seeds)" -ForegroundColor Cyan
    Write-Host '  1  Run all seven experiments'
    Write-Host '  2  Quick: all but the units grid'
    Write-Host '  3  Follow-ups'
    Write-Host '  4  Choose experiments and seeds'
    Write-Host '  5  Dry run: what would run, and for how long'
    Write-Host '  6  Analyse: tables, figures and the report'
    Write-Host '  7  TensorBoard'
    Write-Host '  8  Open the report'
    Write-Host '  9  Status'
    Write-Host '  q  Quit'
}

function Invoke-Menu {
    param([hashtable] $Chosen)
    $actions = @{
        '1' = 'All'; '2' = 'Quick'; '3' = 'FollowUp'; '4' = 'Custom'; '5' = 'DryRun'
        '6' = 'Analyze'; '7' = 'TensorBoard'; '8' = 'Report'; '9' = 'Status'
    }
    while ($true) {
        Show-Menu -Chosen $Chosen
        $key = "$(Read-Host 'Choose')".Trim()
        if ($key -eq 'q') { break }
        if ((-not $key) -and [Console]::IsInputRedirected) { break }  # the input is at its end
        if (-not $actions.ContainsKey($key)) { continue }
        try {
            $now = $Chosen
            if ($key -eq '4') { $now = Read-Choices -Chosen $Chosen }
            if (($key -eq '4') -and ($now.Experiments.Count -eq 0)) { continue }
            Invoke-StudyAction -Name $actions[$key] -Chosen $now
        }
        catch { Write-Host "error: $($_.Exception.Message)" -ForegroundColor Red }
    }
    $script:ExitCode = 0
}


# Here it starts

try {
    $Choices = @{
        Experiments = @(Split-Names -Names $Experiments)
        Seeds = $Seeds
        Dataset = $Dataset
        DataDir = Resolve-FullPath $DataDir
        LogDir = Resolve-FullPath $LogDir
        OutputDir = Resolve-FullPath $OutputDir
    }
    if ($Python) { if (Test-Path -LiteralPath $Python -PathType Leaf) { $Python = Resolve-FullPath $Python } }
    $named = $Choices.Experiments.Count -gt 0
    if ($named -and (@('Custom', 'DryRun', 'Status') -notcontains $Action)) {
        throw "-Experiments goes with -Action Custom, DryRun or Status; got -Action $Action"
    }
    if (($Action -eq 'Custom') -and (-not $named)) {
        throw '-Action Custom takes the names of experiments, like -Experiments epochs,depth; got none'
    }
    Push-Location -LiteralPath $PSScriptRoot
    try {
        Initialize-Interpreter
        if ($Action -eq 'Menu') { Invoke-Menu -Chosen $Choices }
        else { Invoke-StudyAction -Name $Action -Chosen $Choices }
    }
    finally { Pop-Location }
}
catch {
    [Console]::Error.WriteLine("error: $($_.Exception.Message)")
    $ExitCode = 2
}
exit $ExitCode
