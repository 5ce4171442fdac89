@echo off
rem What has to be set before the first logon, as SYSTEM, in Setup's pass specialize. Windows restarts after it.
setlocal EnableExtensions
cd /d "%~dp0"
call stage.cmd specialize
call settings.cmd

rem Counts from the next start on, which comes before the first logon. With Secure Boot it is refused.
if "%TESTSIGNING%"=="on" (
    bcdedit /set testsigning on >nul
    if errorlevel 1 goto no_test_signing
)
rem After a crash Windows starts again, and not its repair.
bcdedit /set bootstatuspolicy ignoreallfailures >nul
bcdedit /set recoveryenabled no >nul

rem A kernel dump, then a restart: the restart is what the host sees. An NMI makes one of a machine that hangs:
rem since Windows 8 without NMICrashDump, too (Microsoft's page "NMI_HARDWARE_FAILURE error when an NMI is triggered").
set "crash=HKLM\SYSTEM\CurrentControlSet\Control\CrashControl"
reg add "%crash%" /v CrashDumpEnabled /t REG_DWORD /d 2 /f >nul
reg add "%crash%" /v AutoReboot /t REG_DWORD /d 1 /f >nul
reg add "%crash%" /v NMICrashDump /t REG_DWORD /d 1 /f >nul

rem A server has them off, or starts them on demand.
sc config AudioEndpointBuilder start= auto >nul
sc config Audiosrv start= auto >nul

rem Desktop programs may record.
set "consent=SOFTWARE\Microsoft\Windows\CurrentVersion\CapabilityAccessManager\ConsentStore\microphone"
reg add "HKLM\%consent%" /v Value /t REG_SZ /d Allow /f >nul

reg add "HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU" /v NoAutoUpdate /t REG_DWORD /d 1 /f >nul

rem Memory integrity, as asked; else as Windows decides.
set "guard=HKLM\SYSTEM\CurrentControlSet\Control\DeviceGuard"
set "integrity="
if "%HVCI%"=="on" set "integrity=1"
if "%HVCI%"=="off" set "integrity=0"
if defined integrity (
    reg add "%guard%" /v EnableVirtualizationBasedSecurity /t REG_DWORD /d %integrity% /f >nul
    reg add "%guard%\Scenarios\HypervisorEnforcedCodeIntegrity" /v Enabled /t REG_DWORD /d %integrity% /f >nul
)
exit /b 0

:no_test_signing
>COM1 echo RINGWAVE problem 1 bcdedit could not turn test signing on; is Secure Boot on
>COM1 echo RINGWAVE done 1
exit /b 0
